//! The power is cut at any write: sectors are old or new, and what a check finds is mended.

use imgfmt_core::conformance::{Recording, Step, check_cuts};
use imgfmt_core::{Erase, ImageEditor, Preallocation};

use crate::images::{MIB, alone, edited, small_layers};

/// Checks some steps for a disk of its own.
fn check(options: &str, size: u64, steps: &[Step]) {
    let files = alone(options, size, &[(0..MIB, 0x44)]);
    check_cuts(&edited(&files, 512), steps, 7);
}

#[test]
fn blocks_that_come_survive_a_cut() {
    let steps = [Step::Write(MIB - 600, 1200, 1), Step::Flush, Step::Write(MIB + 700, 900, 2)];
    check("block_size=1M", 2 * MIB, &steps);
}

#[test]
fn blocks_that_go_survive_a_cut() {
    let steps = [Step::Erase(0, MIB, Erase::Zero), Step::Flush, Step::Write(MIB, 512, 3)];
    check("block_size=1M", 2 * MIB, &steps);
}

#[test]
fn a_disk_that_grows_survives_a_cut() {
    check("block_size=1M", MIB - 4096, &[Step::Resize(MIB + 512, Preallocation::Metadata)]);
    check("block_size=1M,subformat=fixed", MIB, &[Step::Resize(2 * MIB, Preallocation::Off)]);
}

#[test]
fn a_disk_that_shrinks_and_grows_again_survives_a_cut() {
    let steps = [Step::Resize(1024, Preallocation::Off), Step::Resize(MIB + 512, Preallocation::Off)];
    check("block_size=1M,logical_sector_size=512", 2 * MIB, &steps);
}

#[test]
fn sectors_that_come_to_a_layer_survive_a_cut() {
    let unit = 64 << 10;
    // A block of which a part is here, and one of which nothing is.
    let files = small_layers("block_size=1M,logical_sector_size=512");
    check_cuts(&edited(&files, 512), &[Step::Write(unit - 1024, 2048, 1)], 8);
    let files = small_layers("block_size=1M,logical_sector_size=4096");
    check_cuts(&edited(&files, 4096), &[Step::Write(MIB + 4096, 4096, 2)], 9);
}

#[test]
fn blocks_of_a_layer_that_go_survive_a_cut() {
    let files = small_layers("block_size=1M");
    check_cuts(&edited(&files, 512), &[Step::Erase(0, MIB + (64 << 10), Erase::Zero)], 10);
}

#[test]
fn a_layer_that_grows_survives_a_cut() {
    let files = small_layers("block_size=1M");
    check_cuts(&edited(&files, 512), &[Step::Resize(2 * MIB + 512, Preallocation::Off)], 11);
}

#[test]
fn sectors_that_a_block_had_before_do_not_come_back_in_a_cut() {
    let files = small_layers("block_size=1M");
    let recording = Recording::new(&files);
    let leave = |editor: &dyn ImageEditor| editor.erase(0..MIB, Erase::Absent).map(|()| true);
    edited(&files, 512).edit(&recording.files(), &mut |editor| leave(editor)).unwrap();
    let files = recording.now();
    check_cuts(&edited(&files, 512), &[Step::Write(MIB - 1024, 512, 1)], 12);
}
