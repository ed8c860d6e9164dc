//! Other parents.

use imgfmt_core::conformance::{Edited, Files, Recording, check_change_faults};
use imgfmt_core::{Backing, ErrorKind, Format, Limits, OpenContext, Result};
use imgfmt_vmdk::Vmdk;

use crate::images::{Made, backing, child, made};

/// Gives the image another parent; returns the files as a cut after so many operations may leave them.
fn set_parent(edited: &Edited<'_>, parent: Option<&Backing>) -> Result<Recording> {
    let recording = Recording::new(edited.files);
    set_parent_in(&recording.files(), edited.name, parent).map(|()| recording)
}

/// The same in files.
fn set_parent_in(files: &Files, name: &str, parent: Option<&Backing>) -> Result<()> {
    let limits = Limits::default();
    let context = OpenContext::new(&limits, files);
    Vmdk.abilities().reparent.unwrap().set_parent(files.medium(name.as_ref())?, parent, &context)
}

/// What an image in files says of its parent.
fn parent_of(files: &[(String, Vec<u8>)]) -> Option<String> {
    let image = Made::of(files.to_vec());
    let recording = Recording::new(image.edited().files);
    let files = recording.files();
    let limits = Limits::default();
    let opened = Vmdk.open(files.medium("disk.vmdk".as_ref()).unwrap(), &OpenContext::new(&limits, &files)).unwrap();
    let parent = opened.parent?;
    Some(format!("{} {}", parent.names[0].display(), parent.identity.unwrap().value))
}

#[test]
fn a_parent_is_named_renamed_and_forgotten_in_one_step() {
    let renamed = backing("/some/where/else/another base.vmdk", 1 << 20);
    let cases = [
        (child("cid=2,grain_size=8k", 1 << 17), Some(renamed.clone())),
        (child("cid=2,grain_size=8k", 1 << 17), None),
        (made("grain_size=8k", 1 << 17), Some(renamed.clone())),
        (made("subformat=twoGbMaxExtentSparse,grain_size=8k", 1 << 17), Some(renamed.clone())),
        (made("subformat=streamOptimized,grain_size=8k", 1 << 17), Some(renamed)),
        (made("grain_size=8k", 1 << 17), None),
    ];
    for (image, parent) in cases {
        let edited = image.edited();
        let old = parent_of(&image.files);
        let new = parent.as_ref().map(|parent| format!("{} 12345678", parent.name.name.display()));
        let recording = set_parent(&edited, parent.as_ref()).unwrap();
        assert_eq!(parent_of(&recording.now()), new);
        check_change_faults(&edited, &|files| set_parent_in(files, edited.name, parent.as_ref()));
        for cut in 0..=recording.len() {
            for keep in [false, true] {
                let left = parent_of(&recording.cut(cut, &mut || keep));
                assert!(left == old || left == new, "{left:?}");
            }
        }
        let after = Made::of(recording.now());
        let back = set_parent(&after.edited(), Some(&backing("base.vmdk", 1 << 17))).unwrap();
        assert_eq!(parent_of(&back.now()).as_deref(), Some("base.vmdk 12345678"));
    }
}

#[test]
fn a_parent_that_cannot_be_named_is_refused() {
    let kind = |image: Made, backing: &Backing| set_parent(&image.edited(), Some(backing)).unwrap_err().kind();
    let sparse = || made("grain_size=8k", 1 << 17);
    assert_eq!(kind(made("subformat=monolithicFlat", 1 << 17), &backing("b", 1)), ErrorKind::Unsupported);
    assert_eq!(kind(sparse(), &Backing { identities: vec![], ..backing("b", 1) }), ErrorKind::Invalid);
    assert_eq!(kind(sparse(), &backing("a\"b", 1)), ErrorKind::Invalid);
    assert_eq!(kind(sparse(), &backing(&"long".repeat(200), 1)), ErrorKind::Unsupported);
}

#[test]
fn the_parent_of_virtualbox_is_forgotten_too() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/vmdk/valid");
    let bytes = std::fs::read(folder.join("vbox-child.vmdk")).unwrap();
    let image = Made::of(vec![("disk.vmdk".to_owned(), bytes)]);
    let recording = set_parent(&image.edited(), None).unwrap();
    assert_eq!(parent_of(&recording.now()), None);
}
