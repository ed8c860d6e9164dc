//! The check finds what is wrong, and mends what can be.

use imgfmt_core::conformance::{Recording, check_repair};
use imgfmt_core::{Findings, Repair, Severity};

use crate::images::{alone, edited, layers};

/// 512 KiB.
const BLOCK: u64 = 512 << 10;

/// A dynamic disk with two blocks stored.
fn dynamic() -> Vec<(String, Vec<u8>)> {
    alone("block_size=512k", 3 * BLOCK, &[(0..65536, 0x44), (2 * BLOCK..2 * BLOCK + 65536, 0x55)])
}

/// What the check says of `files`.
fn found(files: &[(String, Vec<u8>)]) -> Findings {
    edited(files, 512).check(&Recording::new(files).files(), None).unwrap().0
}

/// Damages the disk with `harm`: the check says `id`, and mends it where `mended`.
fn provoke(mut files: Vec<(String, Vec<u8>)>, id: &str, mended: bool, harm: impl Fn(&mut Vec<u8>)) {
    let content = edited(&files, 512).read(&Recording::new(&files).files()).unwrap();
    harm(&mut files[0].1);
    let findings = found(&files);
    assert!(findings.kept().iter().any(|finding| finding.id == id), "{id}: {:?}", findings.kept());
    if !mended {
        return;
    }
    let image = edited(&files, 512);
    check_repair(&image, Repair::All, 7);
    let recording = Recording::new(&files);
    image.check(&recording.files(), Some(Repair::All)).unwrap();
    let (left, _) = image.check(&recording.files(), None).unwrap();
    assert_eq!(left.open(Severity::Corruption) + left.open(Severity::Leak), 0, "{id}: {:?}", left.kept());
    assert!(image.read(&recording.files()).unwrap() == content, "{id}: another disk");
}

#[test]
fn whole_images_are_found_whole() {
    for files in [dynamic(), alone("subformat=fixed", BLOCK, &[(0..65536, 1)]), layers("block_size=512k")] {
        let findings = found(&files);
        assert_eq!(findings.total(), 0, "{:?}", findings.kept());
    }
}

#[test]
fn a_damaged_footer_is_mended_from_the_other() {
    let ids: Vec<&str> = ["front", "end"].to_vec();
    for (place, _) in ids.iter().enumerate() {
        let mut files = dynamic();
        let content = edited(&files, 512).read(&Recording::new(&files).files()).unwrap();
        let bytes = &mut files[0].1;
        let at = if place == 0 { 40 } else { bytes.len() - 512 + 40 };
        bytes[at] ^= 0xff;
        let findings = found(&files);
        assert!(findings.open(Severity::Corruption) > 0, "{place}");
        let image = edited(&files, 512);
        check_repair(&image, Repair::All, 3);
        let recording = Recording::new(&files);
        image.check(&recording.files(), Some(Repair::All)).unwrap();
        let (left, _) = image.check(&recording.files(), None).unwrap();
        assert_eq!(left.total(), 0, "{place}: {:?}", left.kept());
        assert!(image.read(&recording.files()).unwrap() == content, "{place}");
    }
}

#[test]
fn entries_that_lead_nowhere_are_told() {
    let table = |bytes: &[u8]| usize::try_from(u64::from_be_bytes(bytes[528..536].try_into().unwrap())).unwrap();
    provoke(dynamic(), "vhd-block-outside", false, |bytes| {
        let at = table(bytes);
        bytes[at..at + 4].copy_from_slice(&0x00ff_0000_u32.to_be_bytes());
    });
    provoke(dynamic(), "vhd-block-overlap", false, |bytes| {
        let at = table(bytes);
        let other: [u8; 4] = bytes[at + 8..at + 12].try_into().unwrap();
        bytes[at..at + 4].copy_from_slice(&other);
    });
}
