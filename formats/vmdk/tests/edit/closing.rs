//! Marks of an image that is being changed: `uncleanShutdown` and `CID`.

use std::sync::Arc;

use imgfmt_core::conformance::{Files, Recording, apply, apply_to_model, check_image, random_steps};
use imgfmt_core::{
    Beneath, Erase, ErrorKind, FileMedium, Findings, Format, ImageEditor, Limits, Locking, OpenContext, Preallocation,
    Repair,
};
use imgfmt_vmdk::Vmdk;

use crate::KINDS;
use crate::images::{Folder, made};

/// The bytes of the file called `name`.
fn bytes(files: &Files, name: &str) -> Vec<u8> {
    let medium = files.medium(name.as_ref()).unwrap();
    let mut bytes = vec![0; usize::try_from(medium.len()).unwrap()];
    medium.read_at(&mut bytes, 0).unwrap();
    bytes
}

/// The content identity in a descriptor.
fn cid(bytes: &[u8]) -> String {
    let at = bytes.windows(5).position(|found| found == b"\nCID=").unwrap() + 5;
    String::from_utf8_lossy(&bytes[at..at + 8]).into_owned()
}

#[test]
fn the_content_identity_changes_with_the_first_change_and_not_before() {
    for options in KINDS {
        let options = format!("{options},cid=12345678");
        let image = made(&options, 203 * 512);
        let edited = image.edited();
        let mut files = Files::default();
        edited.files.iter().for_each(|(name, bytes)| files.add(name, bytes.clone()));
        edited.edit(&files, &mut |_| Ok(true)).unwrap();
        for (name, before) in &image.files {
            assert!(bytes(&files, name) == *before, "{options}: {name} was changed, and nothing was asked for");
        }
        edited.edit(&files, &mut |editor| editor.write_at(&[1], 1).map(|()| true)).unwrap();
        let first = cid(&bytes(&files, "disk.vmdk"));
        assert_ne!(first, "12345678", "{options}");
        edited.edit(&files, &mut |editor| editor.erase(0..5, Erase::Zero).map(|()| true)).unwrap();
        assert_ne!(cid(&bytes(&files, "disk.vmdk")), first, "{options}");
    }
}

#[test]
fn an_extent_is_marked_while_it_is_changed_and_has_to_be_repaired_when_that_stays() {
    let image = made("grain_size=8k", 203 * 512);
    let edited = image.edited();
    let mut files = Files::default();
    edited.files.iter().for_each(|(name, bytes)| files.add(name, bytes.clone()));
    edited.edit(&files, &mut |editor| editor.write_at(&[1], 1).map(|()| false)).unwrap();
    assert_eq!(bytes(&files, "disk.vmdk")[72], 1);
    let error = edited.edit(&files, &mut |_| Ok(true)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Malformed);
    edited.check(&files, Some(Repair::All)).unwrap();
    edited.edit(&files, &mut |editor| editor.write_at(&[1], 1).map(|()| true)).unwrap();
    assert_eq!(bytes(&files, "disk.vmdk")[72], 0);
}

#[test]
fn space_of_erased_grains_is_used_again_and_given_back() {
    let image = made("grain_size=8k", 203 * 512);
    let edited = image.edited();
    let mut files = Files::default();
    edited.files.iter().for_each(|(name, bytes)| files.add(name, bytes.clone()));
    let len = |files: &Files| files.medium("disk.vmdk".as_ref()).unwrap().len();
    let before = len(&files);
    let mut act = |editor: &dyn ImageEditor| {
        for _ in 0..20 {
            editor.write_at(&[5; 8192], 90_112)?;
            editor.flush()?;
            editor.erase(90_112..98_304, Erase::Zero)?;
            editor.flush()?;
        }
        Ok(true)
    };
    edited.edit(&files, &mut act).unwrap();
    assert_eq!(len(&files), before);
    edited.edit(&files, &mut |editor| editor.erase(0..103_936, Erase::Zero).map(|()| true)).unwrap();
    assert_eq!(len(&files), before - 7 * 8192);
}

#[test]
fn files_of_several_extents_are_edited_on_the_disk_under_one_lock() {
    let image = made("subformat=twoGbMaxExtentSparse,grain_size=8k", 203 * 512);
    let folder = Folder::new();
    folder.put(&image.files);
    let path = folder.path("disk.vmdk");
    let mut gate = Beneath::new();
    gate.allow(folder.0.path()).unwrap();
    let limits = Limits::default();
    let context = OpenContext { path: Some(&path), ..OpenContext::new(&limits, &gate) };
    let open = || Arc::new(FileMedium::open(&path, Locking::Write).unwrap());
    let abilities = Vmdk.abilities();
    let editor = abilities.edit.unwrap().edit(open(), &context).unwrap();
    editor.write_at(&[9; 30_000], 10_000).unwrap();
    let reader = editor.image().unwrap();
    editor.erase(12_000..16_384, Erase::Zero).unwrap();
    editor.resize(300 * 512, Preallocation::Off).unwrap();
    let mut bytes = vec![1; 30_000];
    reader.read_at(&mut bytes, 10_000).unwrap();
    assert!(bytes[..2000].iter().all(|&b| b == 9) && bytes[2000..6384].iter().all(|&b| b == 0) && bytes[29_999] == 9);
    assert!(abilities.edit.unwrap().edit(open_again(&path), &context).is_err(), "it is being edited already");
    drop(reader);
    editor.close().unwrap();
    let mut findings = Findings::new();
    abilities.check.unwrap().repair(open(), Repair::All, &context, &mut findings).unwrap();
    assert_eq!(findings.kept(), []);
}

/// Opens a file that somebody else has the lock of.
fn open_again(path: &std::path::Path) -> Arc<FileMedium> {
    Arc::new(FileMedium::open(path, Locking::Ignore).unwrap())
}

#[test]
fn a_reader_of_what_is_being_edited_keeps_the_contracts_of_readers() {
    for options in KINDS {
        let image = made(options, 203 * 512);
        let edited = image.edited();
        let recording = Recording::new(&image.files);
        let files = recording.files();
        let mut model = edited.read(&files).unwrap();
        let mut act = |editor: &dyn ImageEditor| {
            for step in random_steps(&edited, 77, 15, 203 * 512, 1) {
                apply(editor, &step)?;
                apply_to_model(&mut model, &[], &step);
            }
            check_image(editor.image()?.as_ref(), Some(&model), options);
            let old = editor.image()?;
            editor.resize(512, Preallocation::Off)?;
            model[512..].fill(0);
            check_image(old.as_ref(), Some(&model), "one that was larger");
            Ok(true)
        };
        edited.edit(&files, &mut act).unwrap();
    }
}
