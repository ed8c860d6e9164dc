//! Cut at any write, sectors are old or new, and repair mends the rest.

use imgfmt_core::conformance::{Step, check_cuts, random_steps};
use imgfmt_core::{Erase, Preallocation, Secrets};

use crate::images::{KINDS, edited, files};

/// Guest bytes at first.
const SIZE: usize = 80 * 512;

#[test]
fn edits_may_be_cut_anywhere() {
    for (index, kind) in KINDS.iter().enumerate() {
        let (files, secrets) = (files(kind, SIZE), Secrets::new());
        let edited = edited(&files, &secrets);
        let unit = if kind.backed { 64 << 10 } else { 512 };
        for seed in 1..4 {
            let mut steps = random_steps(&edited, seed * 77 + index as u64, 5, SIZE as u64, unit);
            // Sizes are cut on their own; what comes behind one is within another disk.
            let resized = steps.iter().position(|step| matches!(step, Step::Resize(..))).unwrap_or(steps.len());
            steps.truncate(resized);
            check_cuts(&edited, &steps, seed);
        }
    }
}

#[test]
fn sizes_may_be_cut_anywhere() {
    for kind in KINDS.iter().filter(|kind| !kind.backed && !kind.options.contains("64k")) {
        let (files, secrets) = (files(kind, SIZE), Secrets::new());
        let edited = edited(&files, &secrets);
        let steps = [Step::Resize(SIZE as u64 + (64 << 10), Preallocation::Off), Step::Write(SIZE as u64, 512, 9)];
        check_cuts(&edited, &steps, 5);
        check_cuts(&edited, &[Step::Resize(17 * 512, Preallocation::Off)], 6);
    }
}

#[test]
fn all_of_a_disk_may_be_let_go_and_that_cut() {
    for kind in KINDS {
        let (files, secrets) = (files(kind, SIZE), Secrets::new());
        let steps = [Step::Erase(0, SIZE as u64, Erase::Zero), Step::Flush, Step::Write(0, 512, 1)];
        let steps = if kind.backed { &steps[..2] } else { &steps[..] };
        check_cuts(&edited(&files, &secrets), steps, 9);
    }
}
