//! A medium that fails, as a full one does, loses nothing of what was there.

use imgfmt_core::conformance::{Recording, Step, check_faults, random_steps};
use imgfmt_core::{Erase, Preallocation, Secrets};

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
    for (seed, kind) in (1..).zip(KINDS).filter(|(_, kind)| !kind.options.contains("64k")) {
        let (source, secrets) = (files(kind, usize::try_from(SIZE).unwrap()), Secrets::new());
        let edited = edited(&source, &secrets);
        let unit = if kind.backed { 64 << 10 } else { 512 };
        check_faults(&edited, &random_steps(&edited, seed, 4, SIZE, unit));
    }
}
