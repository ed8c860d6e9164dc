//! The largest disk that there is opens and maps at once, and its half a gigabyte of tables is not read.

use std::sync::Arc;
use std::time::{Duration, Instant};

use imgfmt_core::convert::Convert;
use imgfmt_core::{
    ByteCounts, CreateRequest, DenyAll, Description, Encoded, Error, ExtentKind, ExtentSink, FileStorage, FileTarget,
    Format, Image, ImageExt, Limits, OpenContext, Options, Result, Storage,
};
use imgfmt_vhdx::Vhdx;

/// A disk of zeros.
struct Empty(u64);

impl Image for Empty {
    fn size(&self) -> u64 {
        self.0
    }

    fn sources(&self) -> &[Arc<dyn Storage>] {
        &[]
    }

    fn map(&self, range: std::ops::Range<u64>, sink: &mut ExtentSink<'_>) -> Result<()> {
        sink.push(range.start, range.end - range.start, ExtentKind::Zero { explicit: false });
        Ok(())
    }

    fn stored_body(&self, _unit_start: u64, _unit: &Encoded, _stored: &[u8]) -> Result<std::ops::Range<usize>> {
        Err(Error::malformed("nothing is compressed"))
    }

    fn read_at(&self, buf: &mut [u8], _offset: u64) -> Result<()> {
        buf.fill(0);
        Ok(())
    }

    fn describe(&self) -> Description {
        Description::default()
    }
}

#[test]
fn a_disk_of_64_tib_with_blocks_of_1_mib_opens_and_maps_at_once() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let target = Arc::new(FileTarget::new(file.reopen().unwrap()).unwrap());
    let options = Options::parse("block_size=1M").unwrap();
    let disk = Empty(64 << 40);
    let writer = Vhdx.create(target, &CreateRequest::new(disk.size(), &options)).unwrap();
    Convert::default().run(&disk, writer).unwrap();
    let (limits, start) = (Limits::default(), Instant::now());
    let storage = Arc::new(FileStorage::open(file.path()).unwrap());
    assert!(storage.len() > 512 << 20);
    let image = Vhdx.open(storage, &OpenContext::new(&limits, &DenyAll)).unwrap().image;
    let opened = start.elapsed();
    assert_eq!(ByteCounts::of(image.as_ref()).unwrap().absent, 64 << 40);
    let mut extents = Vec::new();
    image.extents(63 << 40..64 << 40, 10, &mut extents).unwrap();
    assert_eq!(extents.len(), 1);
    assert!(opened < Duration::from_millis(200), "opening took {opened:?}");
    assert!(start.elapsed() < Duration::from_secs(2), "it took {:?}", start.elapsed());
}
