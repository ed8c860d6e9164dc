//! Edits by chance, of every kind of image.

use imgfmt_core::conformance::{check_cuts, check_cuts_on_devices, check_edits, random_steps};

use crate::KINDS;
use crate::images::made;

/// Bytes of the disks: the last grain is a part of one.
const SIZE: u64 = 203 * 512;

#[test]
fn edits_read_back_and_leave_whole_images() {
    for options in KINDS {
        let image = made(options, SIZE);
        for seed in 1..=4 {
            let edited = image.edited();
            check_edits(&edited, &random_steps(&edited, seed, 25, SIZE, 1));
        }
    }
}

#[test]
fn an_extent_on_a_longer_device_gets_new_grains_and_a_cut_leaves_it_whole() {
    for options in KINDS.iter().filter(|options| !options.contains("subformat=")) {
        let image = made(options, SIZE);
        for seed in 1..=3 {
            let edited = image.edited();
            check_cuts_on_devices(&edited, 1 << 20, &random_steps(&edited, seed, 8, SIZE, 1), seed);
        }
    }
}

#[test]
fn edits_survive_a_cut_at_any_write() {
    for options in KINDS {
        let image = made(options, SIZE);
        for seed in 1..=2 {
            let edited = image.edited();
            check_cuts(&edited, &random_steps(&edited, seed, 8, SIZE, 1), seed);
        }
    }
}
