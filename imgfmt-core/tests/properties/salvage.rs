//! What can be read of a damaged disk is read, and the rest is zero and told of.

use std::ops::Range;
use std::slice::from_ref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use imgfmt_core::conformance::PlainImage;
use imgfmt_core::convert::{Cancel, Convert, Lost, Salvage};
use imgfmt_core::{
    Description, Encoded, Error, ExtentKind, ExtentSink, FileSlice, Image, ImageStream, MemoryStorage, Order, Result,
    Segment, Shape, SourceId, Storage, StreamForm, StreamPart,
};
use proptest::prelude::{any, proptest};

use crate::config;
use crate::recorder::Recorder;

/// Bytes of which some cannot be read.
#[derive(Debug)]
struct Bad {
    /// The bytes.
    bytes: MemoryStorage,
    /// Those that cannot be read.
    holes: Vec<Range<u64>>,
    /// Reads that failed, also those behind the end.
    failures: Arc<AtomicU64>,
}

impl Bad {
    /// `bytes` of which `holes` cannot be read.
    fn new(bytes: &[u8], holes: &[Range<u64>]) -> Self {
        Self { bytes: MemoryStorage::new(bytes), holes: holes.to_vec(), failures: Arc::default() }
    }
}

impl Storage for Bad {
    fn len(&self) -> u64 {
        self.bytes.len()
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        let end = offset + buf.len() as u64;
        if end > self.len() || self.holes.iter().any(|hole| hole.start < end && offset < hole.end) {
            self.failures.fetch_add(1, Ordering::Relaxed);
            return Err(Error::io("cannot read", std::io::Error::other("bad sector")));
        }
        self.bytes.read_at(buf, offset)
    }

    fn segment(&self, offset: u64) -> Result<Segment> {
        self.bytes.segment(offset)
    }

    fn as_file(&self) -> Option<FileSlice<'_>> {
        None
    }

    fn as_slice(&self) -> Option<&[u8]> {
        None
    }
}

/// A disk whose map cannot be followed in some places.
struct Torn(PlainImage, Vec<Range<u64>>);

impl Image for Torn {
    fn size(&self) -> u64 {
        self.0.size()
    }

    fn sources(&self) -> &[Arc<dyn Storage>] {
        self.0.sources()
    }

    fn map(&self, range: Range<u64>, sink: &mut ExtentSink<'_>) -> Result<()> {
        if self.1.iter().any(|hole| hole.start < range.end && range.start < hole.end) {
            return Err(Error::malformed("the table is damaged"));
        }
        self.0.map(range, sink)
    }

    fn stored_body(&self, unit_start: u64, unit: &Encoded, stored: &[u8]) -> Result<Range<usize>> {
        self.0.stored_body(unit_start, unit, stored)
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        self.0.read_at(buf, offset)
    }

    fn describe(&self) -> Description {
        self.0.describe()
    }
}

/// A disk that goes on behind the end of its file, or of which only its reader knows where it is.
struct Cut {
    /// The file.
    file: Vec<Arc<dyn Storage>>,
    /// Guest bytes.
    size: u64,
    /// Whether the map tells nothing.
    opaque: bool,
}

impl Cut {
    /// A disk of `size` bytes in `file`.
    fn new(file: Bad, size: u64, opaque: bool) -> Self {
        Self { file: vec![Arc::new(file)], size, opaque }
    }
}

impl Image for Cut {
    fn size(&self) -> u64 {
        self.size
    }

    fn sources(&self) -> &[Arc<dyn Storage>] {
        &self.file
    }

    fn map(&self, range: Range<u64>, sink: &mut ExtentSink<'_>) -> Result<()> {
        let data = ExtentKind::Data { source: SourceId(0), host: range.start };
        sink.push(range.start, range.end - range.start, if self.opaque { ExtentKind::Opaque } else { data });
        Ok(())
    }

    fn stored_body(&self, _: u64, _: &Encoded, stored: &[u8]) -> Result<Range<usize>> {
        Ok(0..stored.len())
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        self.file[0].read_at(buf, offset)
    }

    fn describe(&self) -> Description {
        Description::default()
    }
}

/// A shape of a writer.
const SHAPE: Shape = Shape {
    unit: 4096,
    order: Order::Random,
    compression: None,
    pads_last: false,
    stores_plain: false,
    zeros_as_data: false,
};

/// Bytes without a zero.
fn bytes_of(size: u64) -> Vec<u8> {
    (0..size).map(|at| u8::try_from(at % 251 + 1).unwrap()).collect()
}

/// Converts what can be read of `image`, and says what was lost.
fn salvage(image: &dyn Image, size: usize) -> (Vec<u8>, Vec<Range<u64>>) {
    let (bytes, lost) = salvage_on(image, size, Convert::default().threads.get());
    assert!(lost.is_exact());
    (bytes, lost.ranges)
}

/// As [`salvage`], on so many threads.
fn salvage_on(image: &dyn Image, size: usize, threads: usize) -> (Vec<u8>, Lost) {
    let shape = SHAPE;
    let salvage = Salvage::new();
    let (writer, record) = Recorder::writer(image.size(), shape, 7);
    let threads = threads.try_into().unwrap();
    Convert { salvage: Some(&salvage), threads, ..Convert::default() }.run(image, writer).unwrap();
    let bytes = record.lock().unwrap().put_together(&shape, &vec![0; size]);
    (bytes, salvage.into_lost())
}

/// Whole sectors around `holes`, joined.
fn sectors(holes: &[Range<u64>], size: u64) -> Vec<Range<u64>> {
    let mut bad: Vec<u64> = holes
        .iter()
        .filter(|hole| !hole.is_empty())
        .flat_map(|hole| hole.start / 512..hole.end.div_ceil(512))
        .collect();
    bad.sort_unstable();
    bad.dedup();
    let mut joined: Vec<Range<u64>> = Vec::new();
    for sector in bad {
        let range = sector * 512..((sector + 1) * 512).min(size);
        match joined.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => joined.push(range),
        }
    }
    joined
}

proptest! {
    #![proptest_config(config(32))]

    #[test]
    fn only_bad_sectors_are_lost(size in 1_u64..3_000_000, places in proptest::collection::vec((any::<u64>(), 1_u64..3000), 0..3)) {
        let bytes = bytes_of(size);
        let holes: Vec<_> = places.iter().map(|(at, len)| at % size..(at % size + len).min(size)).collect();
        let bad = sectors(&holes, size);
        let mut wanted = bytes.clone();
        for hole in &bad {
            wanted[usize::try_from(hole.start).unwrap()..usize::try_from(hole.end).unwrap()].fill(0);
        }
        let storage = Bad::new(&bytes, &holes);
        let (read, lost) = salvage(&PlainImage::new(Arc::new(storage)), bytes.len());
        assert_eq!(lost, bad);
        assert!(read == wanted, "other bytes were lost");
        let plain = PlainImage::new(Arc::new(MemoryStorage::new(bytes.clone())));
        let (read, lost) = salvage(&Torn(plain, holes), bytes.len());
        assert_eq!(lost, bad, "of a map");
        assert!(read == wanted, "other bytes were lost of a map");
    }
}

proptest! {
    #![proptest_config(config(32))]

    #[test]
    fn what_is_not_lost_is_right_and_nothing_bad_is_not_lost(
        places in proptest::collection::vec((0_u64..4 << 20, 1_u64..100_000), 0..40),
        end in 1_u64..4 << 20,
        opaque in any::<bool>(),
        threads in 1_usize..5,
    ) {
        let size = 4_u64 << 20;
        let bytes = bytes_of(size);
        let holes: Vec<_> = places.iter().map(|(at, len)| *at..at + len).collect();
        let file = Bad::new(&bytes[..usize::try_from(end).unwrap()], &holes);
        let (read, lost) = salvage_on(&Cut::new(file, size, opaque), bytes.len(), threads);
        let mut wanted = bytes;
        for range in &lost.ranges {
            wanted[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()].fill(0);
        }
        assert!(read == wanted && lost.is_exact());
        let is_lost = |bad: Range<u64>| lost.ranges.iter().any(|range| range.start <= bad.start && bad.end <= range.end);
        for sector in sectors(&holes, end) {
            assert!(is_lost(sector.clone()), "{sector:?} of {lost:?}");
        }
        assert!(is_lost(end..size), "behind {end}: {lost:?}");
    }
}

/// Salvages a disk of 8 MiB in a file that ends at `end`, on one thread. Returns what is lost, and how many reads failed.
fn failures(holes: &[Range<u64>], end: u64, opaque: bool) -> (Vec<Range<u64>>, u64) {
    let bytes = bytes_of(8 << 20);
    let file = Bad::new(&bytes[..usize::try_from(end).unwrap()], holes);
    let failures = Arc::clone(&file.failures);
    let (_, lost) = salvage_on(&Cut::new(file, 8 << 20, opaque), bytes.len(), 1);
    (lost.ranges, failures.load(Ordering::Relaxed))
}

#[test]
fn few_reads_fail_where_nothing_can_be_read() {
    const MIB: u64 = 1 << 20;
    for opaque in [false, true] {
        // All of a job.
        let bad = 3 * MIB..4 * MIB;
        let (lost, failed) = failures(from_ref(&bad), 8 * MIB, opaque);
        assert!(lost == from_ref(&bad) && failed <= 60, "{failed} reads failed: {lost:?}");
        // One sector, and the eight that are one on a disk of today.
        for (len, most) in [(512, 6), (4096, 16)] {
            let bad = 5 * MIB + 7 * 512..5 * MIB + 7 * 512 + len;
            let (lost, failed) = failures(from_ref(&bad), 8 * MIB, opaque);
            assert!(lost == from_ref(&bad) && failed <= most, "{failed} reads failed: {lost:?}");
        }
        // Two spots in one unit of 64 KiB, and what lies between.
        let bad = [MIB + 4096..MIB + 8192, MIB + 50 * 1024..MIB + 54 * 1024];
        let (lost, failed) = failures(&bad, 8 * MIB, opaque);
        assert!(lost == bad && failed <= 30, "{failed} reads failed: {lost:?}");
    }
}

#[test]
fn nothing_is_tried_behind_the_end_of_a_file() {
    // The read of each job as a whole is made before anybody asks why it fails.
    let end = (2 << 20) + 12_345;
    let (lost, failed) = failures(&[], end, false);
    assert_eq!((lost.as_slice(), failed), (from_ref(&(end..8 << 20)), 6));
}

#[test]
fn a_rescue_is_cancelled() {
    let cancel = Cancel::default();
    cancel.cancel();
    let image = Cut::new(Bad::new(&bytes_of(8 << 20), from_ref(&(0..8 << 20))), 8 << 20, false);
    let (salvage, (writer, _)) = (Salvage::new(), Recorder::writer(8 << 20, SHAPE, 7));
    let error = Convert { salvage: Some(&salvage), cancel, ..Convert::default() }.run(&image, writer).unwrap_err();
    assert_eq!(error.kind(), imgfmt_core::ErrorKind::Cancelled);
}

/// A disk of 4 MiB that breaks off.
struct Broken(u64);

impl ImageStream for Broken {
    fn size(&self) -> Option<u64> {
        Some(4 << 20)
    }

    fn unit(&self) -> u64 {
        65_536
    }

    fn next_part(&mut self, bytes: &mut Vec<u8>, _max: u64) -> Result<Option<StreamPart>> {
        let start = self.0;
        self.0 += 65_536;
        bytes.extend_from_slice(&[3; 65_536]);
        if start == 17 * 65_536 {
            return Err(Error::out_of_bounds("the input ends too early"));
        }
        Ok(Some(StreamPart { start, len: 65_536, form: StreamForm::Plain }))
    }
}

#[test]
fn what_follows_the_place_where_a_stream_breaks_off_is_lost() {
    let (salvage, (writer, record)) = (Salvage::new(), Recorder::writer(4 << 20, SHAPE, 7));
    Convert { salvage: Some(&salvage), ..Convert::default() }.run_stream(&mut Broken(0), writer).unwrap();
    let bytes = record.lock().unwrap().put_together(&SHAPE, &vec![0; 4 << 20]);
    assert!(bytes[..17 * 65_536].iter().all(|byte| *byte == 3) && bytes[17 * 65_536..].iter().all(|byte| *byte == 0));
    assert_eq!(salvage.into_lost().ranges, from_ref(&(17 * 65_536..4 << 20)));
}

#[test]
fn without_salvage_it_is_an_error() {
    let image = PlainImage::new(Arc::new(Bad::new(&[1; 4096], from_ref(&(0..1)))));
    let (writer, _) = Recorder::writer(4096, SHAPE, 7);
    assert!(Convert::default().run(&image, writer).is_err());
}
