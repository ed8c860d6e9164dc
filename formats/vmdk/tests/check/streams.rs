//! The markers of streams.

use imgfmt_core::Repair;
use imgfmt_core::conformance::Files;

use crate::images::made;
use crate::{check, folder};

/// A stream of 13 grains of 8 KiB.
fn stream() -> Vec<u8> {
    made("subformat=streamOptimized,grain_size=8k", 203 * 512).files.remove(0).1
}

/// The identifiers of what is found in an image.
fn ids(bytes: Vec<u8>) -> Vec<&'static str> {
    let mut files = Files::default();
    files.add("disk.vmdk", bytes);
    let (found, _) = check(&files, "disk.vmdk", Some(Repair::All)).unwrap();
    assert!(found.kept().iter().all(|finding| !finding.fixed));
    found.kept().iter().map(|finding| finding.id).collect()
}

/// The byte of the first marker of a kind, from behind the descriptor on: a grain's where the kind is `None`.
fn marker(bytes: &[u8], kind: Option<u32>) -> usize {
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    let is_it = |&at: &usize| match kind {
        None => word(at + 8) != 0 && word(at) == 0,
        Some(kind) => word(at + 8) == 0 && word(at + 12) == kind && word(at) != 0,
    };
    (128 * 512..bytes.len()).step_by(512).find(is_it).unwrap()
}

#[test]
fn a_stream_has_no_findings_and_its_grains_are_counted() {
    let mut files = Files::default();
    files.add("disk.vmdk", stream());
    let (found, stats) = check(&files, "disk.vmdk", None).unwrap();
    assert_eq!(found.kept(), []);
    assert_eq!((stats.total_units, stats.allocated_units, stats.compressed_units), (13, 7, 7));
}

#[test]
fn markers_have_to_say_what_is_behind_them() {
    let harmed = |kind, at: usize, value: u8| {
        let mut bytes = stream();
        let marker = marker(&bytes, kind);
        bytes[marker + at] = value;
        ids(bytes)
    };
    assert_eq!(harmed(None, 0, 16), ["vmdk-marker-lba"]);
    assert_eq!(harmed(None, 10, 200), ["vmdk-marker-size"]);
    assert_eq!(harmed(Some(1), 0, 9), ["vmdk-marker-metadata"]);
    assert_eq!(harmed(Some(2), 12, 1), ["vmdk-marker-metadata"]);
    assert_eq!(harmed(Some(3), 12, 2), ["vmdk-footer"]);
}

#[test]
fn a_stream_that_is_cut_has_no_footer_or_no_end() {
    let bytes = stream();
    assert_eq!(ids(bytes[..bytes.len() - 512].to_vec()), ["vmdk-end-missing"]);
    assert_eq!(ids(bytes[..bytes.len() - 1024].to_vec()), ["vmdk-footer"]);
}

#[test]
fn grains_of_a_stream_that_run_into_each_other_are_told() {
    let (name, bytes) = folder("valid").into_iter().find(|(name, _)| name == "stream-gd-front.vmdk").unwrap();
    let mut harmed = bytes.clone();
    let gd = usize::from(bytes[56]) * 512;
    let table = usize::from(bytes[gd]) * 512;
    let stored: Vec<usize> = (table..table + 2048).step_by(4).filter(|&at| bytes[at..at + 4] != [0; 4]).collect();
    harmed.copy_within(stored[0]..stored[0] + 4, stored[1]);
    assert!(ids(harmed).contains(&"vmdk-marker-lba"), "{name}");
}
