//! Disks of several sparse extents.

use imgfmt_core::conformance::{Edited, Files, check_repair};
use imgfmt_core::{DenyAll, Format, Limits, OpenContext, Repair, Severity};
use imgfmt_vmdk::Vmdk;

use crate::build::{Layout, put};
use crate::images::Made;

/// A disk of two sparse extents of 75 sectors.
fn two() -> Made {
    let layout = Layout { redundant: true, ..Layout::default() };
    let text = "# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID=ffffffff\ncreateType=\"custom\"\n\
        RW 75 SPARSE \"a\"\nRW 75 SPARSE \"b\"\n";
    let files = [("disk.vmdk", text.as_bytes().to_vec()), ("a", layout.build()), ("b", layout.build())];
    Made::of(files.map(|(name, bytes)| (name.to_owned(), bytes)).to_vec())
}

#[test]
fn each_extent_is_checked_and_mended() {
    let mut image = two();
    let whole = read(&image.edited());
    for (_, bytes) in &mut image.files[1..] {
        let gd = usize::from(bytes[56]) * 512;
        put(bytes, gd, &[0; 12]);
        put(bytes, 72, &[1]);
    }
    let edited = image.edited();
    let findings = check_repair(&edited, Repair::All, 1);
    assert_eq!((findings.fixed(Severity::Corruption), findings.fixed(Severity::Warning)), (6, 2), "{findings:?}");
    let mut files = Files::default();
    image.files.iter().for_each(|(name, bytes)| files.add(name, bytes.clone()));
    let (_, stats) = edited.check(&files, Some(Repair::All)).unwrap();
    assert_eq!((stats.total_units, stats.allocated_units), (20, 14));
    assert!(edited.read(&files).unwrap() == whole);
}

#[test]
fn a_line_follows_the_header_of_an_extent_that_was_not_closed() {
    let mut image = two();
    put(&mut image.files[2].1, 12, &60_u64.to_le_bytes());
    put(&mut image.files[2].1, 72, &[1]);
    let edited = image.edited();
    assert_eq!(read(&edited).len(), 135 * 512);
    let findings = check_repair(&edited, Repair::All, 1);
    assert!(findings.kept().iter().any(|f| f.id == "vmdk-capacity-differs" && f.fixed), "{findings:?}");
}

#[test]
fn extents_that_may_not_be_opened_are_not_checked() {
    let image = two();
    let limits = Limits::default();
    let mut findings = imgfmt_core::Findings::new();
    let mut files = Files::default();
    files.add("disk.vmdk", image.files[0].1.clone());
    let medium = files.medium("disk.vmdk".as_ref()).unwrap();
    let context = OpenContext::new(&limits, &DenyAll);
    let check = Vmdk.abilities().check.unwrap();
    check.check(medium, &context, &mut findings).unwrap();
    assert_eq!(findings.open(Severity::Unchecked), 2);
    assert!(findings.kept().iter().all(|finding| finding.id == "vmdk-extent-unchecked"));
}

/// The guest bytes of an image.
fn read(edited: &Edited<'_>) -> Vec<u8> {
    let mut files = Files::default();
    edited.files.iter().for_each(|(name, bytes)| files.add(name, bytes.clone()));
    edited.read(&files).unwrap()
}
