//! A medium that fails, as a full one does, loses nothing of what was there.

use imgfmt_core::conformance::{Failing, Fault, Recording, Step, check_change_faults, check_faults, random_steps};
use imgfmt_core::{BitmapChange, Erase, ImageEditor, Preallocation, Secrets, Severity};

use crate::amend::amend;
use crate::bitmaps::change;
use crate::images::{KINDS, edited, files};
use crate::snapshots::snapshots;

/// Guest bytes.
const SIZE: u64 = 32 << 10;

#[test]
fn what_cannot_be_written_loses_nothing() {
    for kind in KINDS.iter().filter(|kind| !kind.backed && !kind.options.contains("64k")) {
        let (source, secrets) = (files(kind, usize::try_from(SIZE).unwrap()), Secrets::new());
        let start = Recording::new(&source);
        if !kind.options.ends_with("bits=1") {
            snapshots(&start.files(), "create", "one").unwrap();
        }
        let steps = [Step::Write(100, SIZE / 2, 200), Step::Erase(0, SIZE / 4, Erase::Zero), Step::Write(0, 512, 201)];
        check_faults(&edited(&start.now(), &secrets), &steps);
    }
}

#[test]
fn a_size_that_cannot_be_had_loses_nothing() {
    for kind in KINDS.iter().filter(|kind| !kind.backed && !kind.options.contains("64k")) {
        let (source, secrets) = (files(kind, usize::try_from(SIZE).unwrap()), Secrets::new());
        let edited = edited(&source, &secrets);
        let grown = SIZE + (64 << 10);
        check_faults(&edited, &[Step::Resize(grown, Preallocation::Metadata), Step::Write(SIZE, 512, 9)]);
        check_faults(&edited, &[Step::Resize(17 * 512, Preallocation::Off), Step::Write(0, 512, 9)]);
    }
}

#[test]
fn any_edits_that_cannot_be_done_lose_nothing() {
    for (seed, kind) in (1..).zip(KINDS).filter(|(_, kind)| !kind.options.contains("64k")).step_by(2) {
        let (source, secrets) = (files(kind, usize::try_from(SIZE).unwrap()), Secrets::new());
        let edited = edited(&source, &secrets);
        let unit = if kind.backed { 64 << 10 } else { 512 };
        check_faults(&edited, &random_steps(&edited, seed, 4, SIZE, unit));
    }
}

#[test]
fn a_full_disk_takes_no_space_for_a_size_that_it_cannot_have() {
    for preallocation in [Preallocation::Metadata, Preallocation::Falloc, Preallocation::Full] {
        for kind in KINDS.iter().filter(|kind| !kind.backed && !kind.options.contains("64k")) {
            let (source, secrets) = (files(kind, usize::try_from(SIZE).unwrap()), Secrets::new());
            let edited = edited(&source, &secrets);
            for first in 0.. {
                let recording = Recording::new(&source);
                let failing = Failing::new(&recording.files(), &["top"], Fault::Full(first));
                let mut grown = false;
                let act = &mut |editor: &dyn ImageEditor| {
                    grown = editor.resize(SIZE + (64 << 10), preallocation).is_ok();
                    Ok(true)
                };
                let closed = edited.edit(&failing.files(), act);
                closed.unwrap_or_else(|e| panic!("{e}: {kind:?}, {preallocation:?}, {first}"));
                let (findings, _) = edited.check(&recording.files(), None).unwrap();
                assert_eq!(findings.open(Severity::Corruption), 0, "{kind:?}, {preallocation:?}, {first}");
                // Of a cluster in subclusters, the one that could not be written.
                let leaked = findings.open(Severity::Leak);
                assert!(leaked <= 1, "{kind:?}, {preallocation:?}, {first}: {:?}", findings.kept());
                if grown {
                    break;
                }
            }
        }
    }
}

#[test]
fn options_that_cannot_be_changed_lose_nothing() {
    for kind in KINDS.iter().filter(|kind| !kind.options.contains("64k")) {
        let (source, secrets) = (files(kind, usize::try_from(SIZE).unwrap()), Secrets::new());
        let edited = edited(&source, &secrets);
        check_change_faults(&edited, &|files| amend(files, "compat=1.1,lazy_refcounts=on"));
        check_change_faults(&edited, &|files| amend(files, "compat=1.1,refcount_bits=32"));
    }
}

#[test]
fn a_bitmap_that_cannot_be_added_loses_nothing() {
    let (source, secrets) = (files(&KINDS[0], usize::try_from(SIZE).unwrap()), Secrets::new());
    let edited = edited(&source, &secrets);
    let add = [BitmapChange::Add { granularity: Some(512) }];
    check_change_faults(&edited, &|files| change(files, "b", &add));
}
