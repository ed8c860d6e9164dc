//! Snapshots keep what was, whatever becomes of the disk.

use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use imgfmt_core::conformance::{Edited, Files, Recording, Step, apply, apply_to_model, check_change_faults};
use imgfmt_core::{
    Chain, Erase, ErrorKind, Format, Image, Limits, OpenContext, Opener, Repair, Result, Secrets, Severity,
};
use imgfmt_qcow2::Qcow2;

use crate::images::{KINDS, disk, edited, files};

/// Guest bytes.
const SIZE: usize = 60 * 512;

/// What is done with snapshots of the image in `files`.
pub(crate) fn snapshots(files: &Files, act: &str, name: &str) -> Result<()> {
    let (limits, path) = (Limits::default(), Path::new("top"));
    let context = OpenContext { path: Some(path), ..OpenContext::new(&limits, files) };
    let (medium, ability) = (files.medium(path)?, Qcow2.abilities().snapshots.unwrap());
    match act {
        "create" => ability.create(medium, name, UNIX_EPOCH + Duration::from_secs(1_700_000_000), &context),
        "apply" => ability.apply(medium, name, &context),
        _ => ability.delete(medium, name, &context),
    }
}

/// The guest bytes of a snapshot.
pub(crate) fn read_snapshot(files: &Files, name: &str) -> Vec<u8> {
    let (limits, path) = (Limits::default(), Path::new("top"));
    let formats: [&dyn Format; 2] = [&Qcow2, &imgfmt_core::conformance::Plain];
    let mut opener = Opener::new(&formats, files, &limits);
    opener.context.snapshot = Some(name);
    let image: Chain = opener.open(files.medium(path).unwrap(), Some(path), Some("qcow2")).unwrap();
    let mut bytes = vec![0; usize::try_from(image.size()).unwrap()];
    image.read_at(&mut bytes, 0).unwrap();
    bytes
}

/// Writes, through the editor.
fn edit(edited: &Edited<'_>, files: &Files, steps: &[Step], model: &mut Vec<u8>) {
    edited
        .edit(files, &mut |editor| {
            for step in steps {
                apply(editor, step)?;
                apply_to_model(model, &[], step);
            }
            Ok(true)
        })
        .unwrap();
}

/// Nothing is wrong with the image.
pub(crate) fn assert_clean(edited: &Edited<'_>, files: &Files, what: &str) {
    let (findings, _) = edited.check(files, None).unwrap();
    for severity in [Severity::Leak, Severity::Corruption, Severity::Unchecked] {
        assert_eq!(findings.open(severity), 0, "{what}: {:?}", findings.kept());
    }
}

/// The kinds whose clusters can be used twice.
fn kinds() -> impl Iterator<Item = &'static crate::images::Kind> {
    KINDS.iter().filter(|kind| !kind.options.contains("refcount_bits=1") || kind.options.contains("16"))
}

#[test]
fn what_was_can_be_read_and_made_current_again() {
    for kind in kinds() {
        let (source, secrets) = (files(kind, SIZE), Secrets::new());
        let edited = edited(&source, &secrets);
        let recording = Recording::new(&source);
        let files = recording.files();
        let unit = if kind.backed { 64 << 10 } else { 512 };
        let len = (10 * 512_u64).next_multiple_of(unit).min(SIZE as u64);
        let mut model = disk(SIZE);
        let first = model.clone();
        snapshots(&files, "create", "first").unwrap();
        assert_clean(&edited, &files, &format!("{kind:?} first"));
        edit(&edited, &files, &[Step::Write(0, len, 0x77)], &mut model);
        let second = model.clone();
        snapshots(&files, "create", "second").unwrap();
        edit(&edited, &files, &[Step::Erase(0, SIZE as u64, Erase::Zero)], &mut model);
        assert_clean(&edited, &files, &format!("{kind:?} second"));
        assert!(edited.read(&files).unwrap() == model, "{kind:?}");
        assert!(read_snapshot(&files, "first") == first && read_snapshot(&files, "2") == second, "{kind:?}");
        snapshots(&files, "apply", "1").unwrap();
        assert_clean(&edited, &files, &format!("{kind:?} applied"));
        assert!(edited.read(&files).unwrap() == first, "{kind:?}");
        model = first.clone();
        edit(&edited, &files, &[Step::Write(0, len, 0x66)], &mut model);
        assert!(read_snapshot(&files, "first") == first, "{kind:?}");
        snapshots(&files, "delete", "first").unwrap();
        assert_clean(&edited, &files, &format!("{kind:?} deleted"));
        assert!(edited.read(&files).unwrap() == model && read_snapshot(&files, "second") == second, "{kind:?}");
        snapshots(&files, "delete", "second").unwrap();
        assert_clean(&edited, &files, &format!("{kind:?} deleted both"));
        assert!(edited.read(&files).unwrap() == model, "{kind:?}");
    }
}

#[test]
fn several_have_one_name_and_a_name_has_to_be_there() {
    let source = files(&KINDS[0], SIZE);
    let files = Recording::new(&source).files();
    snapshots(&files, "create", "one").unwrap();
    snapshots(&files, "create", "one").unwrap();
    assert_eq!(snapshots(&files, "apply", "two").unwrap_err().kind(), ErrorKind::Missing);
    assert_eq!(snapshots(&files, "delete", "two").unwrap_err().kind(), ErrorKind::Missing);
    for _ in 0..2 {
        snapshots(&files, "delete", "one").unwrap();
    }
    assert_eq!(snapshots(&files, "delete", "one").unwrap_err().kind(), ErrorKind::Missing);
}

#[test]
fn changes_of_snapshots_may_be_cut_anywhere() {
    let secrets = Secrets::new();
    for kind in kinds().filter(|kind| !kind.options.contains("64k")) {
        let source = files(kind, SIZE);
        let start = Recording::new(&source);
        snapshots(&start.files(), "create", "old").unwrap();
        let mut model = disk(SIZE);
        let step = if kind.backed { Step::Erase(0, SIZE as u64, Erase::Zero) } else { Step::Write(0, 5 * 512, 9) };
        edit(&edited(&source, &secrets), &start.files(), &[step], &mut model);
        for act in ["create", "apply", "delete"] {
            let before = start.now();
            let recording = Recording::new(&before);
            snapshots(&recording.files(), act, if act == "create" { "new" } else { "old" }).unwrap();
            let after = if act == "apply" { disk(SIZE) } else { model.clone() };
            check_cuts(&before, &recording, &[&model, &after], &format!("{kind:?} {act}"));
            let name = if act == "create" { "new" } else { "old" };
            check_change_faults(&edited(&before, &secrets), &|files| snapshots(files, act, name));
        }
    }
}

/// Cuts what was recorded anywhere: the disk is one of `states`, and repair mends the rest.
fn check_cuts(before: &[(String, Vec<u8>)], recording: &Recording, states: &[&Vec<u8>], what: &str) {
    let secrets = Secrets::new();
    let edited = edited(before, &secrets);
    let mut seed = 1_u32;
    for cut in 0..=recording.len() {
        for way in 0..3 {
            let mut keep = || {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                if way < 2 { way == 1 } else { seed >> 31 == 1 }
            };
            let left = Recording::new(&recording.cut(cut, &mut keep));
            let files = left.files();
            let what = format!("{what}, cut after {cut} of {}, way {way}", recording.len());
            let read = edited.read(&files).unwrap_or_else(|e| panic!("{e}: {what}"));
            assert!(states.iter().any(|state| **state == read), "{what}");
            edited.check(&files, Some(Repair::All)).unwrap_or_else(|e| panic!("{e}: {what}"));
            assert_clean(&edited, &files, &what);
            assert!(edited.read(&files).unwrap() == read, "repaired: {what}");
        }
    }
}
