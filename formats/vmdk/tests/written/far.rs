//! Large disks: what lies far apart, in many extents, and at the ends.

use std::ops::Range;
use std::sync::Arc;

use imgfmt_core::{
    ByteCounts, Description, Encoded, Error, ErrorKind, ExtentKind, ExtentSink, Image, MemoryStorage, Result, SourceId,
    Storage,
};

use crate::folder::Folder;

/// A large disk with a block of known bytes here and there.
pub(crate) struct Far {
    /// Guest bytes.
    pub(crate) size: u64,
    /// Where the blocks are, ascending.
    pub(crate) blocks: Vec<u64>,
    /// The bytes of a block.
    pub(crate) source: [Arc<dyn Storage>; 1],
}

impl Far {
    /// A disk with the same block at each of `blocks`.
    pub(crate) fn new(size: u64, blocks: &[u64]) -> Self {
        let block: Vec<u8> = (0..BLOCK_LEN).map(|at| (at % 251) as u8 | 1).collect();
        Self { size, blocks: blocks.to_vec(), source: [Arc::new(MemoryStorage::new(block))] }
    }

    /// Guest bytes of the block at `start`.
    fn block(&self, start: u64) -> Range<u64> {
        start..(start + BLOCK_LEN).min(self.size)
    }
}

impl Image for Far {
    fn size(&self) -> u64 {
        self.size
    }

    fn sources(&self) -> &[Arc<dyn Storage>] {
        &self.source
    }

    fn map(&self, range: Range<u64>, sink: &mut ExtentSink<'_>) -> Result<()> {
        let mut next = range.start;
        for block in self.blocks.iter().map(|&start| self.block(start)).filter(|block| block.end > range.start) {
            if block.start > next && !sink.is_full() {
                sink.push(next, block.start - next, ExtentKind::Zero { explicit: false });
            }
            if !sink.is_full() {
                sink.push(block.start, block.end - block.start, ExtentKind::Data { source: SourceId(0), host: 0 });
            }
            next = block.end;
        }
        if !sink.is_full() {
            sink.push(next, self.size - next, ExtentKind::Zero { explicit: false });
        }
        Ok(())
    }

    fn stored_body(&self, _unit_start: u64, _unit: &Encoded, _stored: &[u8]) -> Result<Range<usize>> {
        Err(Error::malformed("nothing is compressed here"))
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        imgfmt_core::read::through_map(self, buf, offset)
    }

    fn describe(&self) -> Description {
        Description::default()
    }
}

/// Checks that `image` has the blocks of `far`, and how much it stores.
pub(crate) fn check(image: &dyn Image, far: &Far, most: u64, name: &str) {
    assert_eq!(image.size(), far.size, "{name}");
    for &block in &far.blocks {
        let before = block.saturating_sub(5000);
        let end = (block + BLOCK_LEN + 5000).min(far.size);
        let mut found = vec![0xa5; usize::try_from(end - before).unwrap()];
        let mut expected = found.clone();
        image.read_at(&mut found, before).unwrap();
        far.read_at(&mut expected, before).unwrap();
        assert!(found == expected, "{name}: the block at {block} differs");
    }
    let counts = ByteCounts::of(image).unwrap();
    assert!(counts.allocated() <= most, "{name}: {counts:?}");
}

#[test]
fn disks_of_many_extents_are_split_where_vmware_splits() {
    let extent = 2047 << 20;
    let far = Far::new(2 * extent + 700 * 512, &[0, extent - 70_000, 2 * extent - 512, 2 * extent + 600 * 512]);
    for (kind, suffix) in [("twoGbMaxExtentSparse", "s"), ("twoGbMaxExtentFlat", "f")] {
        let folder = Folder::new();
        folder.write("big.vmdk", &far, &format!("subformat={kind}")).unwrap();
        for number in 1..=3 {
            let file = folder.path(&format!("big-{suffix}00{number}.vmdk"));
            assert!(file.is_file(), "{}", file.display());
        }
        let most = if suffix == "s" { 10 * 65_536 } else { far.size };
        check(&folder.open("big.vmdk").unwrap(), &far, most, kind);
    }
}

#[test]
fn the_largest_disk_of_esx_is_written_and_opened() {
    let size = 62 << 40;
    let far = Far::new(size, &[0, 1 << 40, (33 << 40) + 512, size - 100_000]);
    for kind in ["monolithicSparse", "streamOptimized"] {
        let folder = Folder::new();
        folder.write("huge.vmdk", &far, &format!("subformat={kind}")).unwrap();
        check(&folder.open("huge.vmdk").unwrap(), &far, 10 * 65_536, kind);
    }
}

#[test]
fn a_disk_that_has_no_room_is_refused_before_anything_is_written() {
    let refused = |size, options| {
        let error = Folder::new().write("x.vmdk", &Far::new(size, &[]), options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{options}: {error}");
    };
    refused(0, "");
    refused(64 << 40, "subformat=twoGbMaxExtentFlat");
    refused(1 << 60, "subformat=streamOptimized");
    refused(1 << 60, "");
}

/// Bytes of a block: a grain and a half.
const BLOCK_LEN: u64 = 98_304;
