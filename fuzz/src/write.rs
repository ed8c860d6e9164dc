//! Writing: any disk with any options reads back.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use arbitrary::Arbitrary;
use imgfmt_core::conformance::{Disk, Fill, read_all};
use imgfmt_core::convert::Convert;
use imgfmt_core::{
    Backing, CreateRequest, ErrorKind, Format, Image, Limits, MemoryStorage, MemoryTarget, Opener, Options, ParentName,
    Result,
};
use imgfmt_raw::Raw;

use crate::agrees_with_itself;
use crate::beside::One;

/// A disk and how it is to be written.
#[derive(Arbitrary, Debug)]
pub struct Writing {
    /// Guest bytes, modulo what is small enough.
    size: u32,
    /// How far a run is from the last, how long it is, and what it is filled with.
    runs: Vec<(u16, u16, Filling)>,
    /// Which value each option of the format gets; see [`CHOICES`].
    choices: [u8; CHOICES.len()],
    /// Whether units are compressed.
    compress: bool,
    /// Whether there is a backing file, which then shows nowhere.
    backed: bool,
    /// log2 of the shortest run of zeros that is looked for.
    zero_grain: u8,
    /// Threads of the second run, modulo a few.
    threads: u8,
}

impl Writing {
    /// Writes the disk with one thread and with more, and reads it back.
    ///
    /// # Panics
    ///
    /// Where it cannot be written although the options are valid, where the files differ, or where they do not
    /// read back to the disk.
    pub fn check(&self, format: &dyn Format) {
        self.check_among(format, &CHOICES);
    }

    /// As [`check`](Self::check), with options of another format: one of each list, as far as there are
    /// choices. Where a format makes its images different each time, a list of one option keeps it from that.
    ///
    /// # Panics
    ///
    /// As [`check`](Self::check).
    pub fn check_among(&self, format: &dyn Format, choices: &[&[&str]]) {
        let disk = self.disk();
        let first = match self.write(format, choices, &disk, 1) {
            Err(error) if error.kind() == ErrorKind::Invalid => return,
            written => written.expect("valid options write any disk"),
        };
        let threads = usize::from(self.threads % 6) + 2;
        let second = self.write(format, choices, &disk, threads).expect("it was written before");
        assert!(first == second, "the number of threads changes the file");
        let gate = One(Arc::new(MemoryStorage::new(vec![0xbb; disk.bytes.len()])));
        let limits = Limits::default();
        let formats: [&dyn Format; 2] = [format, &Raw];
        let opener = Opener::new(&formats, &gate, &limits);
        let image = opener.open(Arc::new(MemoryStorage::new(first)), None, Some(format.name()));
        let image = image.expect("what was written opens");
        let mut read = read_all(&image);
        assert!(read.len() - disk.bytes.len() < 512, "{} bytes became {}", disk.bytes.len(), read.len());
        assert!(imgfmt_core::convert::is_zero(&read.split_off(disk.bytes.len())), "the padding is not zero");
        assert!(read == disk.bytes, "the bytes differ");
        agrees_with_itself(&image);
    }

    /// The disk.
    fn disk(&self) -> Disk {
        let size = self.size as usize % MAX_SIZE;
        let mut at = 0;
        let mut runs = Vec::new();
        for &(gap, len, filling) in &self.runs {
            let start = at + usize::from(gap);
            let end = (start + usize::from(len)).min(size);
            if start < end {
                runs.push((start..end, filling.into()));
            }
            at = end.max(start);
        }
        Disk::new("fuzzed", size, &runs)
    }

    /// The file that `threads` threads write.
    fn write(&self, format: &dyn Format, choices: &[&[&str]], disk: &Disk, threads: usize) -> Result<Vec<u8>> {
        let chosen: Vec<_> =
            choices.iter().zip(self.choices).map(|(words, choice)| words[usize::from(choice) % words.len()]).collect();
        let options = Options::parse(&chosen.join(","))?;
        let name = ParentName { name: Path::new("base").to_path_buf(), format: Some(Raw.name().to_owned()) };
        let backing = Backing { name, size: disk.image().size(), ..Backing::default() };
        let request = CreateRequest {
            compress: self.compress,
            backing: Some(&backing).filter(|_| self.backed),
            ..CreateRequest::new(disk.image().size(), &options)
        };
        let target = Arc::new(MemoryTarget::new());
        let writer = format.create(target.clone(), &request)?;
        let convert = Convert {
            threads: NonZeroUsize::new(threads).expect("it is not 0"),
            zero_grain: Some(1 << (self.zero_grain % 21)).filter(|_| self.zero_grain < 128),
            ..Convert::default()
        };
        convert.run(&disk.image(), writer)?;
        Ok(target.to_vec())
    }
}

/// What a run is filled with.
#[derive(Arbitrary, Clone, Copy, Debug)]
enum Filling {
    /// Bytes that compress.
    Text,
    /// Bytes that do not.
    Noise,
    /// Zeros that the map calls data.
    Zeros,
}

impl From<Filling> for Fill {
    fn from(filling: Filling) -> Self {
        match filling {
            Filling::Text => Self::Text,
            Filling::Noise => Self::Noise,
            Filling::Zeros => Self::Zeros,
        }
    }
}

/// Options of qcow2; not all go together.
const CHOICES: [&[&str]; 8] = [
    &["", "compat=0.10"],
    &["", "cluster_size=512", "cluster_size=1k", "cluster_size=4k", "cluster_size=32k", "cluster_size=2M"],
    &["", "refcount_bits=1", "refcount_bits=2", "refcount_bits=8", "refcount_bits=64"],
    &["", "compression_type=zstd"],
    &["", "", "extended_l2=on"],
    &["", "compression_level=1", "compression_level=9"],
    &["", "compression_window=512", "compression_window=4k"],
    &["", "", "", "preallocation=metadata", "preallocation=falloc", "preallocation=full"],
];
/// Disks are smaller than this, in bytes.
const MAX_SIZE: usize = 1 << 20;
