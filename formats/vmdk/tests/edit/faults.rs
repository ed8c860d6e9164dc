//! A medium that fails, as a full one does, loses nothing of what was there.

use imgfmt_core::conformance::{Edited, Step, check_faults, random_steps};
use imgfmt_core::{Erase, Preallocation};

use crate::KINDS;
use crate::children::{GRAIN, children};
use crate::images::made;
use crate::layouts::{image, layouts};
use crate::sizes::two;

/// Bytes of the disks: the last grain is a part of one.
const SIZE: u64 = 203 * 512;

#[test]
fn images_of_every_kind_lose_nothing() {
    for options in KINDS {
        let image = made(options, SIZE);
        for seed in 1..=2 {
            let edited = image.edited();
            check_faults(&edited, &random_steps(&edited, seed, 6, SIZE, 1));
        }
    }
}

#[test]
fn extents_of_any_layout_lose_nothing() {
    for layout in layouts() {
        let image = image(&layout);
        for seed in 1..=4 {
            let edited = Edited { size_unit: 2048, ..image.edited() };
            check_faults(&edited, &random_steps(&edited, seed, 6, 75 * 512, 1));
        }
    }
}

#[test]
fn disks_of_several_extents_lose_nothing() {
    for kind in ["SPARSE", "FLAT"] {
        let size = 150 * 512;
        let steps = [
            Step::Write(74 * 512, 1024, 1),
            Step::Resize(size + 99 * 512, Preallocation::Off),
            Step::Write(size - 10, 5000, 2),
            Step::Erase(70 * 512, 40_000, Erase::Zero),
            Step::Flush,
            Step::Resize(size - 30 * 512, Preallocation::Off),
            Step::Resize(size + 3 * 512, Preallocation::Full),
        ];
        check_faults(&two(kind).edited(), &steps);
    }
}

#[test]
fn children_lose_nothing() {
    let steps = [
        Step::Write(GRAIN, 2 * GRAIN, 7),
        Step::Erase(4 * GRAIN, GRAIN, Erase::Zero),
        Step::Flush,
        Step::Erase(2 * GRAIN, GRAIN, Erase::Zero),
        Step::Write(12 * GRAIN, 512, 9),
    ];
    for image in children() {
        check_faults(&image.edited(), &steps);
    }
}
