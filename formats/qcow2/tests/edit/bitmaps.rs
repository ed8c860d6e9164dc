//! Bitmaps record what is changed, and can be put together.

use std::ops::Range;
use std::path::Path;

use imgfmt_core::conformance::{Files, Recording, Step, apply};
use imgfmt_core::convert::EditingWriter;
use imgfmt_core::{
    Backing, BitmapChange, ErrorKind, Form, Format, ImageWriter, Limits, OpenContext, ParentName, Piece, Result,
    Secrets, Severity,
};
use imgfmt_qcow2::Qcow2;

use crate::images::{KINDS, Kind, edited, files};
use crate::snapshots::snapshots;

/// Guest bytes.
const SIZE: usize = 100 * 512;

/// The kind of image.
const KIND: &Kind = &KINDS[0];

/// Does `changes` to the bitmap `name`.
pub(crate) fn change(files: &Files, name: &str, changes: &[BitmapChange<'_>]) -> Result<()> {
    let (limits, path) = (Limits::default(), Path::new("top"));
    let context = OpenContext { path: Some(path), ..OpenContext::new(&limits, files) };
    Qcow2.abilities().bitmaps.unwrap().change(files.medium(path)?, name, changes, &context)
}

/// What is dirty in the bitmap `name`, whether it records, and whether it can be relied on.
pub(crate) fn dirty(files: &Files, name: &str) -> (Vec<Range<u64>>, bool, bool) {
    let limits = Limits::default();
    let context = OpenContext::new(&limits, files);
    let opened = Qcow2.open(files.medium(Path::new("top")).unwrap(), &context).unwrap();
    let bitmap = opened.bitmaps.iter().find(|bitmap| bitmap.info().name == name).unwrap();
    let mut ranges = Vec::new();
    let read = bitmap.visit_dirty(&mut |range| {
        ranges.push(range);
        Ok(())
    });
    read.unwrap();
    (ranges, bitmap.info().enabled, !bitmap.info().inconsistent)
}

/// One range.
pub(crate) fn only(range: Range<u64>) -> Vec<Range<u64>> {
    std::iter::once(range).collect()
}

#[test]
fn what_is_changed_is_recorded_where_that_is_wanted() {
    let (source, secrets) = (files(KIND, SIZE), Secrets::new());
    let edited = edited(&source, &secrets);
    let files = Recording::new(&source).files();
    change(&files, "fine", &[BitmapChange::Add { granularity: Some(512) }]).unwrap();
    change(&files, "coarse", &[BitmapChange::Add { granularity: Some(4096) }]).unwrap();
    change(&files, "off", &[BitmapChange::Add { granularity: Some(512) }, BitmapChange::Disable]).unwrap();
    edited
        .edit(&files, &mut |editor| {
            apply(editor, &Step::Write(1000, 100, 1))?;
            apply(editor, &Step::Erase(512 * 50, 512 * 3, imgfmt_core::Erase::Zero))?;
            Ok(true)
        })
        .unwrap();
    let wanted = [512..1536, 512 * 50..512 * 53];
    assert_eq!(dirty(&files, "fine"), (wanted.to_vec(), true, true));
    assert_eq!(dirty(&files, "coarse").0, [0..4096, 24_576..28_672]);
    assert_eq!(dirty(&files, "off"), (vec![], false, true));
    let limits = Limits::default();
    let opened = Qcow2.open(files.medium(Path::new("top")).unwrap(), &OpenContext::new(&limits, &files)).unwrap();
    change(&files, "off", &[BitmapChange::Merge(opened.bitmaps[0].as_ref()), BitmapChange::Enable]).unwrap();
    assert_eq!(dirty(&files, "off"), (wanted.to_vec(), true, true));
    change(&files, "fine", &[BitmapChange::Clear]).unwrap();
    assert_eq!(dirty(&files, "fine").0, []);
    change(&files, "coarse", &[BitmapChange::Remove]).unwrap();
    assert_eq!(change(&files, "coarse", &[BitmapChange::Clear]).unwrap_err().kind(), ErrorKind::Missing);
    assert_eq!(
        change(&files, "off", &[BitmapChange::Add { granularity: None }]).unwrap_err().kind(),
        ErrorKind::Invalid
    );
    let (findings, _) = edited.check(&files, None).unwrap();
    assert_eq!(findings.open(Severity::Corruption) + findings.open(Severity::Leak), 0, "{:?}", findings.kept());
}

#[test]
fn what_changes_nothing_for_the_guest_leaves_bitmaps_reliable() {
    let (source, secrets) = (files(KIND, SIZE), Secrets::new());
    let edited = edited(&source, &secrets);
    let files = Recording::new(&source).files();
    change(&files, "b", &[BitmapChange::Add { granularity: Some(512) }]).unwrap();
    edited.edit(&files, &mut |editor| apply(editor, &Step::Write(1024, 512, 1)).map(|()| true)).unwrap();
    let before = dirty(&files, "b");
    assert!(before.2);
    for act in ["create", "delete"] {
        snapshots(&files, act, "one").unwrap();
        assert_eq!(dirty(&files, "b"), before, "{act}");
    }
    assert_eq!(snapshots(&files, "apply", "none").unwrap_err().kind(), ErrorKind::Missing);
    assert_eq!(dirty(&files, "b"), before, "refused");
    let (limits, path) = (Limits::default(), Path::new("top"));
    let name = ParentName { name: "base".into(), format: Some("raw".to_owned()) };
    let backing = Backing { name, ..Backing::default() };
    let context = OpenContext::new(&limits, &files);
    let reparent = Qcow2.abilities().reparent.unwrap();
    reparent.set_parent(files.medium(path).unwrap(), Some(&backing), &context).unwrap();
    reparent.set_parent(files.medium(path).unwrap(), None, &context).unwrap();
    assert_eq!(dirty(&files, "b"), before, "another parent");
    snapshots(&files, "create", "one").unwrap();
    snapshots(&files, "apply", "one").unwrap();
    assert_eq!(dirty(&files, "b"), before, "the same disk");
}

#[test]
fn a_conversion_that_ends_early_leaves_bitmaps_reliable() {
    let source = files(KIND, SIZE);
    let files = Recording::new(&source).files();
    change(&files, "b", &[BitmapChange::Add { granularity: Some(512) }]).unwrap();
    let limits = Limits::default();
    let edit = Qcow2.abilities().edit.unwrap();
    let editor = edit.edit(files.medium(Path::new("top")).unwrap(), &OpenContext::new(&limits, &files)).unwrap();
    let writer = EditingWriter::new(editor, SIZE as u64, false).unwrap();
    let piece = Piece { guest: 4096, len: 4096, form: Form::Plain };
    writer.store(&piece, piece.guest, &[1; 4096]).unwrap();
    drop(writer);
    assert_eq!(dirty(&files, "b"), (only(4096..8192), true, true));
}

#[test]
fn a_bitmap_that_was_recording_when_the_plug_was_pulled_says_so() {
    let (source, secrets) = (files(KIND, SIZE), Secrets::new());
    let edited = edited(&source, &secrets);
    let files = Recording::new(&source).files();
    change(&files, "b", &[BitmapChange::Add { granularity: Some(512) }]).unwrap();
    edited.edit(&files, &mut |editor| apply(editor, &Step::Write(0, 512, 1)).map(|()| false)).unwrap();
    assert!(!dirty_flag(&files));
    assert_eq!(change(&files, "b", &[BitmapChange::Clear]).unwrap_err().kind(), ErrorKind::Invalid);
    change(&files, "b", &[BitmapChange::Remove]).unwrap();
}

/// Whether the bitmap can be relied on.
fn dirty_flag(files: &Files) -> bool {
    let limits = Limits::default();
    let opened = Qcow2.open(files.medium(Path::new("top")).unwrap(), &OpenContext::new(&limits, files)).unwrap();
    !opened.bitmaps[0].info().inconsistent
}
