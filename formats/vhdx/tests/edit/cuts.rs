//! The power is cut at any write: sectors are old or new, and what a check finds is mended.

use imgfmt_core::conformance::{Edited, Step, check_cuts};
use imgfmt_core::{Erase, Preallocation};

use crate::images::{MIB, alone, edited, layers};

/// Checks some steps for a disk of its own.
fn check(options: &str, size: u64, steps: &[Step]) {
    let files = alone(options, size, &[(0..MIB, 0x44)]);
    check_cuts(&Edited { size_unit: 512, ..edited(&files, 512) }, steps, 7);
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
fn a_layer_survives_a_cut() {
    for sector in [512, 4096] {
        let files = layers(&format!("block_size=1M,logical_sector_size={sector}"));
        let unit = 64 << 10;
        let steps = [
            // A block of which a part is here, and one of which nothing is.
            Step::Write(MIB + unit - 2 * sector, 4 * sector, 1),
            Step::Write(2 * MIB + sector, sector, 2),
        ];
        check_cuts(&edited(&files, sector), &steps, 8);
        let steps = [Step::Erase(0, MIB + unit * 2, Erase::Zero), Step::Resize(4 * MIB, Preallocation::Off)];
        check_cuts(&edited(&files, sector), &steps, 9);
    }
}
