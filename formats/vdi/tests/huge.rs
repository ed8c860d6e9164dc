//! A disk of 64 TiB opens and maps at once, and its 256 MiB of map are not read before they are asked for.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use imgfmt_core::{ByteCounts, DenyAll, ErrorKind, FileStorage, Format, Limits, OpenContext, Result};
use imgfmt_vdi::Vdi;

/// Bytes of the disk.
const SIZE: u64 = 64 << 40;
/// Where the first block is: behind the map.
const DATA: u64 = (1 << 20) + (SIZE >> 20) * 4;

/// A file of a disk of 64 TiB in which every block is block 0 of a file that has room for four.
fn image() -> File {
    let file = tempfile::tempfile().expect("the file can be used");
    file.set_len(DATA + (4 << 20)).expect("the file can be used");
    let fields = [
        (64, 0xbeda_107f),
        (68, 0x1_0001),
        (72, 400),
        (76, 1),
        (340, 1 << 20),
        (344, u32::try_from(DATA).expect("the file can be used")),
        (372, u32::try_from(SIZE >> 32).expect("the file can be used")),
        (376, 1 << 20),
        (384, u32::try_from(SIZE >> 20).expect("the file can be used")),
    ];
    for (at, value) in fields {
        file.write_all_at(&value.to_le_bytes(), at).expect("the file can be used");
    }
    file
}

/// Opens the file and counts what it holds.
fn count(file: &File) -> Result<ByteCounts> {
    let (limits, start) = (Limits::default(), Instant::now());
    let storage = Arc::new(FileStorage::from_file(file.try_clone().expect("the file can be used"))?);
    let opened = Vdi.open(storage, &OpenContext::new(&limits, &DenyAll))?;
    assert!(start.elapsed() < Duration::from_millis(200), "opening took {:?}", start.elapsed());
    ByteCounts::of(opened.image.as_ref())
}

#[test]
fn a_block_under_every_entry_is_found_while_the_map_is_read() {
    let error = count(&image()).unwrap_err();
    assert_eq!((error.kind(), error.field_name()), (ErrorKind::Malformed, Some("offBlocks")));
}

#[test]
fn a_disk_of_64_tib_without_a_block_opens_and_maps_at_once() {
    let (file, start) = (image(), Instant::now());
    let free = vec![0xff; 16 << 20];
    for at in ((1 << 20)..DATA).step_by(free.len()) {
        file.write_all_at(&free, at).expect("the file can be used");
    }
    assert_eq!(count(&file).expect("the file can be used").absent, SIZE);
    assert!(start.elapsed() < Duration::from_secs(20), "it took {:?}", start.elapsed());
}
