//! What can be read of a damaged disk is read, and the rest is zero and told of.

use std::ops::Range;
use std::sync::Arc;

use imgfmt_core::conformance::PlainImage;
use imgfmt_core::convert::{Convert, Salvage};
use imgfmt_core::{
    Description, Encoded, Error, ExtentSink, FileSlice, Image, MemoryStorage, Order, Result, Segment, Shape, Storage,
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
}

impl Storage for Bad {
    fn len(&self) -> u64 {
        self.bytes.len()
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        let end = offset + buf.len() as u64;
        if self.holes.iter().any(|hole| hole.start < end && offset < hole.end) {
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
struct Lost(PlainImage, Vec<Range<u64>>);

impl Image for Lost {
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

/// Converts what can be read of `image`, and says what was lost.
fn salvage(image: &dyn Image, size: usize) -> (Vec<u8>, Vec<Range<u64>>) {
    let shape = Shape {
        unit: 4096,
        order: Order::Random,
        compression: None,
        pads_last: false,
        stores_plain: false,
        zeros_as_data: false,
    };
    let salvage = Salvage::new();
    let (writer, record) = Recorder::writer(image.size(), shape, 7);
    Convert { salvage: Some(&salvage), ..Convert::default() }.run(image, writer).unwrap();
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
    fn only_bad_sectors_are_lost(size in 1_u64..3_000_000, places in proptest::collection::vec((any::<u64>(), 1_u64..3000), 0..5)) {
        let bytes: Vec<u8> = (0..size).map(|at| u8::try_from(at % 251 + 1).unwrap()).collect();
        let holes: Vec<_> = places.iter().map(|(at, len)| at % size..(at % size + len).min(size)).collect();
        let bad = sectors(&holes, size);
        let mut wanted = bytes.clone();
        for hole in &bad {
            wanted[usize::try_from(hole.start).unwrap()..usize::try_from(hole.end).unwrap()].fill(0);
        }
        let storage = Bad { bytes: MemoryStorage::new(bytes.clone()), holes: holes.clone() };
        let (read, lost) = salvage(&PlainImage::new(Arc::new(storage)), bytes.len());
        assert_eq!(lost, bad);
        assert!(read == wanted, "other bytes were lost");
        let plain = PlainImage::new(Arc::new(MemoryStorage::new(bytes.clone())));
        let (read, lost) = salvage(&Lost(plain, holes), bytes.len());
        assert_eq!(lost, bad, "of a map");
        assert!(read == wanted, "other bytes were lost of a map");
    }
}

#[test]
fn without_salvage_it_is_an_error() {
    let hole = std::iter::once(0..1).collect();
    let storage = Bad { bytes: MemoryStorage::new(vec![1; 4096]), holes: hole };
    let image = PlainImage::new(Arc::new(storage));
    let shape = Shape {
        unit: 4096,
        order: Order::Random,
        compression: None,
        pads_last: false,
        stores_plain: false,
        zeros_as_data: false,
    };
    let (writer, _) = Recorder::writer(4096, shape, 7);
    assert!(Convert::default().run(&image, writer).is_err());
}
