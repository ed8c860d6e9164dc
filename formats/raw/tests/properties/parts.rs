//! Windows on files, and files that were cut into several.

use std::path::Path;
use std::sync::Arc;

use imgfmt_core::conformance::{Files, Noise, check_image};
use imgfmt_core::{
    Beneath, DenyAll, ErrorKind, FileStorage, Format, Gate, Image, Limits, MemoryStorage, OpenContext, Options, Result,
    Storage,
};
use imgfmt_raw::Raw;
use proptest::prelude::{any, proptest};

use crate::files::{config, sparse};

/// Opens `storage`, called `name`, with `options`.
fn open(storage: Arc<dyn Storage>, name: Option<&str>, options: &str, gate: &dyn Gate) -> Result<Box<dyn Image>> {
    let (limits, options) = (Limits::default(), Options::parse(options)?);
    let context = OpenContext { path: name.map(Path::new), options: &options, ..OpenContext::new(&limits, gate) };
    Ok(Raw.open(storage, &context)?.image)
}

proptest! {
    #![proptest_config(config(32))]

    #[test]
    fn a_window_shows_its_range_or_says_that_it_does_not_fit(
        file in sparse(),
        offset in any::<u64>(),
        size in any::<u64>(),
        beyond in 0..3u8,
    ) {
        let len = file.bytes.len() as u64;
        let offset = offset % (len + 1);
        let size = size % (len - offset + 1);
        let written = file.file();
        let storage: Arc<dyn Storage> = Arc::new(FileStorage::open(written.path()).unwrap());
        let options = match beyond {
            0 => format!("offset={offset},size={size}"),
            1 => format!("offset={offset},size={}", len - offset + 1),
            _ => format!("offset={}", len + 1 + size),
        };
        match open(storage, None, &options, &DenyAll) {
            Ok(image) => {
                assert_eq!(beyond, 0, "{options} of {len} bytes is taken");
                let (start, end) = (usize::try_from(offset).unwrap(), usize::try_from(offset + size).unwrap());
                check_image(image.as_ref(), Some(&file.bytes[start..end]), &options);
            }
            Err(error) => assert_eq!((beyond > 0, error.kind()), (true, ErrorKind::OutOfBounds), "{options}"),
        }
    }

    #[test]
    fn parts_are_read_as_one_disk(seed in any::<u64>(), lens in proptest::collection::vec(0..70_000usize, 1..12)) {
        let mut noise = Noise(seed | 1);
        let mut files = Files::default();
        let mut all = Vec::new();
        let mut first = Vec::new();
        for (index, &len) in lens.iter().enumerate() {
            let mut part = vec![0; len];
            noise.fill(&mut part);
            all.extend(&part);
            if index == 0 {
                first.clone_from(&part);
            }
            files.add(&format!("disk.raw.{:03}", index + 1), part);
        }
        files.add("disk.raw.02", vec![1]);
        files.add("disk.raw.sha256", vec![2]);
        let first: Arc<dyn Storage> = Arc::new(MemoryStorage::new(first));
        let image = open(Arc::clone(&first), Some("disk.raw.001"), "", &files).unwrap();
        check_image(image.as_ref(), Some(&all), "parts");
        let (from, to) = (all.len() / 3, all.len() / 3 * 2);
        let options = format!("offset={from},size={}", to - from);
        let window = open(Arc::clone(&first), Some("disk.raw.001"), &options, &files).unwrap();
        check_image(window.as_ref(), Some(&all[from..to]), "a window on parts");
        let alone = open(first, Some("disk.raw.001"), "split=off", &files).unwrap();
        check_image(alone.as_ref(), Some(&all[..lens[0]]), "one part");
    }
}

#[test]
fn parts_that_are_missing_or_may_not_be_opened_are_said() {
    let first = || Arc::new(MemoryStorage::new(vec![7; 512])) as Arc<dyn Storage>;
    let mut files = Files::default();
    for name in ["disk.001", "disk.002", "disk.004"] {
        files.add(name, vec![7; 512]);
    }
    let error = |name, options, gate: &dyn Gate| open(first(), Some(name), options, gate).err().unwrap();
    let gap = error("disk.001", "", &files);
    assert_eq!(gap.kind(), ErrorKind::Missing);
    assert!(gap.to_string().contains("disk.003 is not there, but disk.004 is"), "{gap}");
    assert_eq!(error("disk.001", "", &DenyAll).kind(), ErrorKind::Refused);
    assert_eq!(error("disk.002", "split=on", &files).kind(), ErrorKind::Invalid);
    assert_eq!(open(first(), Some("disk.002"), "", &DenyAll).unwrap().size(), 512);
    assert_eq!(open(first(), Some("other.001"), "split=on", &files).unwrap().size(), 512);
    files.add("far.001", vec![7; 512]);
    files.add("far.99999999999", vec![7; 512]);
    assert_eq!(error("far.001", "", &files).kind(), ErrorKind::Missing);
}

#[test]
fn parts_are_found_beside_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("disk.001");
    for (name, byte) in [("disk.001", 1), ("disk.002", 2), ("disk.003", 3)] {
        std::fs::write(folder.path().join(name), vec![byte; 700]).unwrap();
    }
    let mut gate = Beneath::new();
    gate.allow_beside(&path).unwrap();
    let image = open(Arc::new(FileStorage::open(&path).unwrap()), path.to_str(), "", &gate).unwrap();
    let expected: Vec<u8> = [1, 2, 3].into_iter().flat_map(|byte| [byte; 700]).collect();
    check_image(image.as_ref(), Some(&expected), "three files");
    assert_eq!(image.describe().subformat.as_deref(), Some("split"));

    let limits = Limits::default();
    let context = OpenContext { path: Some(&path), describe_only: true, ..OpenContext::new(&limits, &DenyAll) };
    let opened = Raw.open(Arc::new(FileStorage::open(&path).unwrap()), &context).unwrap();
    assert_eq!(opened.image.describe().details["first-part-only"], true);
}
