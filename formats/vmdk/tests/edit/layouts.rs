//! Edits of extents that others could have written: small tables, tables that are not there, no redundant ones.

use imgfmt_core::conformance::{Edited, Step, check_cuts, check_edits, random_steps};
use imgfmt_core::{Erase, Preallocation};

use crate::build::{Grain, Layout};
use crate::images::Made;

/// An image of 75 sectors in this layout.
pub(crate) fn image(layout: &Layout) -> Made {
    Made::of(vec![("disk.vmdk".to_owned(), layout.build())])
}

/// Layouts with tables of 4 grains, of which some are not there.
pub(crate) fn layouts() -> Vec<Layout> {
    let mut grains = vec![Grain::Data(1), Grain::Absent, Grain::Data(2), Grain::Zeroed];
    grains.extend([Grain::Absent; 4]);
    grains.extend([Grain::Data(7), Grain::Data(8)]);
    let plain = Layout { grains, ..Layout::default() };
    vec![
        plain.clone(),
        Layout { redundant: true, ..plain.clone() },
        Layout { redundant: true, zeroed: true, ..plain.clone() },
        Layout { redundant: true, short_last: true, reversed: true, ..plain.clone() },
        Layout { redundant: true, rounded: true, ..plain },
    ]
}

#[test]
fn edits_of_any_layout_read_back() {
    for layout in layouts() {
        let image = image(&layout);
        for seed in 1..=SEEDS {
            let edited = Edited { size_unit: 2048, ..image.edited() };
            check_edits(&edited, &random_steps(&edited, seed, 25, 75 * 512, 1));
        }
    }
}

#[test]
fn edits_of_any_layout_survive_a_cut() {
    for layout in layouts() {
        let image = image(&layout);
        for seed in 1..=SEEDS {
            let edited = Edited { size_unit: 2048, ..image.edited() };
            check_cuts(&edited, &random_steps(&edited, seed, 6, 75 * 512, 1), seed);
        }
    }
}

#[test]
fn directories_that_become_too_small_move() {
    for redundant in [false, true] {
        let grains = vec![Grain::Data(3); 127];
        let layout = Layout { gtes: 1, sectors: 127 * 8 - 3, grains, redundant, ..Layout::default() };
        let image = image(&layout);
        let size = layout.sectors * 512;
        let steps = [
            Step::Resize(size + 5 * 4096, Preallocation::Off),
            Step::Write(size - 100, 9000, 5),
            Step::Flush,
            Step::Resize(size - 9216, Preallocation::Off),
            Step::Erase(4096, 8192, Erase::Zero),
            Step::Resize(size + 20_480, Preallocation::Full),
        ];
        check_edits(&image.edited(), &steps);
        if redundant {
            check_cuts(&image.edited(), &[steps[0].clone(), steps[3].clone()], 3);
        }
    }
}

/// Sequences of steps for each layout.
const SEEDS: u64 = 2;
