//! Guest disks to write and to compare with: made by rule, the same on every run.

use std::ops::Range;
use std::sync::Arc;

use crate::extent::{Encoded, ExtentKind, ExtentSink, SourceId};
use crate::image::Image;
use crate::info::Description;
use crate::storage::{MemoryStorage, Storage};
use crate::{Error, Result};

/// A guest disk in memory whose map says which runs are zero.
#[derive(Clone, Debug)]
pub struct Disk {
    /// What the disk shows.
    pub name: &'static str,
    /// The guest bytes.
    pub bytes: Vec<u8>,
    /// The runs that the map calls data, ascending and apart; everything else is zero.
    pub data: Vec<Range<u64>>,
}

impl Disk {
    /// A disk of `size` bytes with the given runs filled: with text that compresses, with noise that does
    /// not, or with zeros that only a look can find.
    #[must_use]
    pub fn new(name: &'static str, size: usize, runs: &[(Range<usize>, Fill)]) -> Self {
        let mut bytes = vec![0; size];
        let mut noise = Noise(size as u64 | 1);
        for (range, fill) in runs {
            match fill {
                Fill::Text => noise.text(&mut bytes[range.clone()]),
                Fill::Noise => noise.fill(&mut bytes[range.clone()]),
                Fill::Zeros => {}
            }
        }
        let data = runs.iter().map(|(range, _)| range.start as u64..range.end as u64).collect();
        Self { name, bytes, data }
    }

    /// The disk as an image.
    #[must_use]
    pub fn image(&self) -> impl Image + use<> {
        DiskImage { sources: [Arc::new(MemoryStorage::new(self.bytes.clone()))], data: self.data.clone() }
    }
}

/// What a run is filled with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fill {
    /// Bytes that compress well.
    Text,
    /// Bytes that do not compress.
    Noise,
    /// Zeros that the map calls data.
    Zeros,
}

/// Disks that have shown what writers get wrong.
#[must_use]
pub fn disks() -> Vec<Disk> {
    const K: usize = 1024;
    vec![
        Disk::new("nothing at all", 0, &[]),
        Disk::new("one sector", 512, &[(0..512, Fill::Text)]),
        Disk::new("one byte more than a sector", 513, &[(0..513, Fill::Noise)]),
        Disk::new("empty", 3 * K * K, &[]),
        Disk::new("zeros that the map calls data", 2 * K * K, &[(0..2 * K * K, Fill::Zeros)]),
        Disk::new("the very last byte", 1024 * K + 7, &[(1024 * K + 6..1024 * K + 7, Fill::Noise)]),
        Disk::new("dense text", 2560 * K, &[(0..2560 * K, Fill::Text)]),
        Disk::new("dense noise", 1100 * K, &[(0..1100 * K, Fill::Noise)]),
        Disk::new(
            "runs that fit no unit",
            5 * K * K,
            &[
                (100..70_000, Fill::Text),
                (131_072..131_073, Fill::Noise),
                (200_000..300_000, Fill::Zeros),
                (300_000..900_001, Fill::Noise),
                (2_000_000..4_100_000, Fill::Text),
                (4_100_000..4_200_000, Fill::Zeros),
                (5 * K * K - 3..5 * K * K, Fill::Text),
            ],
        ),
        Disk::new("far apart", 40 * K * K, &[(0..4096, Fill::Text), (33 * K * K..33 * K * K + 66_000, Fill::Noise)]),
    ]
}

/// Numbers that look random and are the same on every run: xorshift64*.
#[derive(Clone, Debug)]
pub struct Noise(pub u64);

impl Noise {
    /// The next number.
    #[expect(clippy::should_implement_trait, reason = "an endless sequence is no iterator here")]
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `end`, which is not 0.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// Fills `bytes` with what does not compress.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next().to_le_bytes()[..chunk.len()]);
        }
    }

    /// Fills `bytes` with what compresses: words out of a small set.
    pub fn text(&mut self, bytes: &mut [u8]) {
        const WORDS: [&[u8; 8]; 8] = [
            b"storage ",
            b"cluster ",
            b"extents ",
            b"sectors\n",
            b"0123456 ",
            b"virtual ",
            b"machine ",
            b"\0\0\0\0\x01\0\0\0",
        ];
        for chunk in bytes.chunks_mut(8) {
            let word = WORDS[usize::try_from(self.below(8)).unwrap_or(0)];
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
    }
}

/// The image of a [`Disk`].
struct DiskImage {
    /// The bytes, as the one source.
    sources: [Arc<dyn Storage>; 1],
    /// What the map calls data.
    data: Vec<Range<u64>>,
}

impl Image for DiskImage {
    fn size(&self) -> u64 {
        self.sources[0].len()
    }

    fn sources(&self) -> &[Arc<dyn Storage>] {
        &self.sources
    }

    fn map(&self, range: Range<u64>, sink: &mut ExtentSink<'_>) -> Result<()> {
        let mut next = range.start;
        for run in self.data.iter().filter(|run| run.end > range.start) {
            if run.start > next && !sink.is_full() {
                sink.push(next, run.start - next, ExtentKind::Zero { explicit: false });
            }
            if !sink.is_full() {
                sink.push(run.start, run.end - run.start, ExtentKind::Data { source: SourceId(0), host: run.start });
            }
            next = run.end;
        }
        if !sink.is_full() {
            sink.push(next, self.size() - next, ExtentKind::Zero { explicit: false });
        }
        Ok(())
    }

    fn stored_body(&self, _unit_start: u64, _unit: &Encoded, _stored: &[u8]) -> Result<Range<usize>> {
        Err(Error::malformed("nothing is compressed here"))
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        self.sources[0].read_at(buf, offset)
    }

    fn describe(&self) -> Description {
        Description { format: "test disk", ..Description::default() }
    }
}
