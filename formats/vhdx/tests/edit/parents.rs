//! Another parent: named or not named, wherever the power is cut.

use std::path::Path;

use imgfmt_core::conformance::{Edited, Files, Recording, check_change_faults};
use imgfmt_core::{Backing, ErrorKind, Format, Limits, OpenContext, ParentName, Result, Severity};
use imgfmt_vhdx::Vhdx;

use crate::images::{MIB, alone, backing, edited, image, small_layers};

/// Names another parent for `top.vhdx`.
fn set(files: &Files, parent: Option<&Backing>) -> Result<()> {
    let limits = Limits::default();
    let path = Path::new("top.vhdx");
    let context = OpenContext { path: Some(path), ..OpenContext::new(&limits, files) };
    Vhdx.abilities().reparent.unwrap().set_parent(files.medium(path)?, parent, &context)
}

/// Checks that nothing is wrong with the image.
fn assert_clean(edited: &Edited<'_>, files: &Files) {
    let (findings, _) = edited.check(files, None).unwrap();
    let bad = [Severity::Leak, Severity::Unchecked, Severity::Corruption];
    assert!(bad.iter().all(|severity| findings.open(*severity) == 0), "{:?}", findings.kept());
}

/// Checks that wherever `set_parent` is cut the disk is the old or the new one.
fn check(files: &[(String, Vec<u8>)], parent: Option<&Backing>) -> Vec<u8> {
    let edited = edited(files, 512);
    let recording = Recording::new(files);
    let old = edited.read(&recording.files()).unwrap();
    set(&recording.files(), parent).unwrap();
    let new = edited.read(&recording.files()).unwrap();
    assert_clean(&edited, &recording.files());
    check_change_faults(&edited, &|files| set(files, parent));
    for cut in 0..=recording.len() {
        for way in 0..2 {
            let left = Recording::new(&recording.cut(cut, &mut || way == 1)).files();
            let read = edited.read(&left).unwrap();
            assert!(read == old || read == new, "cut after {cut}, way {way}");
            set(&left, parent).unwrap();
            assert!(edited.read(&left).unwrap() == new, "cut after {cut}, way {way}, and set again");
        }
    }
    new
}

/// The layers, and another base without zeros.
fn with_another() -> (Vec<(String, Vec<u8>)>, Backing) {
    let mut files = small_layers("block_size=1M");
    let name = "another base with a much longer name, for which there has to be room.vhdx";
    files.push((name.to_owned(), image("block_size=1M", 2 * MIB, None, &[(0..2 * MIB, 0xc6)])));
    let parent = backing(name, &files[2].1);
    (files, parent)
}

#[test]
fn another_parent_shows_where_the_old_one_did() {
    let (files, parent) = with_another();
    let old = edited(&files, 512).read(&Recording::new(&files).files()).unwrap();
    let new = check(&files, Some(&parent));
    let expected: Vec<u8> = old.iter().map(|byte| if *byte == 0xb5 { 0xc6 } else { *byte }).collect();
    assert!(new == expected);
}

#[test]
fn without_a_parent_zeros_show() {
    let (mut files, _) = with_another();
    // What the block has where the parent shows may be anything. The table follows headers, log and metadata.
    let entry: [u8; 8] = files[0].1[3 * MIB as usize..][..8].try_into().unwrap();
    let host = (u64::from_le_bytes(entry) & !(MIB - 1)) as usize;
    files[0].1[host..host + 1000].fill(0xee);
    let old = edited(&files, 512).read(&Recording::new(&files).files()).unwrap();
    let new = check(&files, None);
    let expected: Vec<u8> = old.iter().map(|byte| if *byte == 0xb5 { 0 } else { *byte }).collect();
    assert!(new == expected);
}

#[test]
fn a_disk_without_parent_can_get_one() {
    let (mut files, parent) = with_another();
    files[0] = alone("block_size=1M", 2 * MIB, &[(MIB..2 * MIB, 1)]).remove(0);
    let new = check(&files, Some(&parent));
    let (of_parent, own) = (new.iter().filter(|b| **b == 0xc6).count(), new.iter().filter(|b| **b == 1).count());
    assert_eq!((of_parent as u64, own as u64), (MIB, MIB));
}

#[test]
fn the_layer_itself_is_known_as_before() {
    let (files, parent) = with_another();
    let recording = Recording::new(&files);
    let said = || recording.files().open(&Vhdx, "top.vhdx").unwrap().layers()[0].describe();
    let before = said().identities;
    set(&recording.files(), Some(&parent)).unwrap();
    assert_eq!(said().identities, before);
    assert_eq!(said().parent.unwrap().name, parent.name.name);
}

#[test]
fn what_cannot_be_a_parent_is_refused() {
    let (mut files, parent) = with_another();
    let name = ParentName { name: "base.raw".into(), format: Some("raw".to_owned()) };
    let raw = Backing { name, ..Backing::default() };
    let recording = Recording::new(&files);
    assert_eq!(set(&recording.files(), Some(&raw)).unwrap_err().kind(), ErrorKind::Invalid);
    assert!(recording.is_empty());
    files[0] = alone("block_size=1M,subformat=fixed", 3 * MIB, &[]).remove(0);
    let recording = Recording::new(&files);
    assert_eq!(set(&recording.files(), Some(&parent)).unwrap_err().kind(), ErrorKind::Unsupported);
}
