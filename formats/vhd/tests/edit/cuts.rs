//! Cut at any write, sectors are old or new, and repair mends the rest.

use imgfmt_core::conformance::{Step, check_cuts};
use imgfmt_core::{Erase, Preallocation};

use crate::images::{alone, edited, small_layers};

/// 512 KiB.
const BLOCK: u64 = 512 << 10;

#[test]
fn writes_and_erases_may_be_cut_anywhere() {
    for options in ["block_size=512k", "subformat=fixed"] {
        let files = alone(options, 2 * BLOCK + 512 * 7, &[(0..65536, 0x44)]);
        let steps = [
            Step::Write(512, 1024, 1),
            Step::Write(BLOCK + 512 * 9, 512 * 3, 2),
            Step::Flush,
            Step::Erase(0, BLOCK, Erase::Zero),
            Step::Write(2 * BLOCK, 512, 3),
        ];
        check_cuts(&edited(&files, 512), &steps, 3);
    }
}

#[test]
fn layers_may_be_cut_anywhere() {
    let files = small_layers("block_size=512k");
    let steps =
        [Step::Write(512 * 3, 512 * 2, 1), Step::Write(BLOCK + 512, 512, 2), Step::Erase(0, BLOCK, Erase::Zero)];
    check_cuts(&edited(&files, 512), &steps, 4);
}

#[test]
fn sizes_may_be_cut_anywhere() {
    for options in ["block_size=512k", "subformat=fixed"] {
        let files = alone(options, BLOCK + 512 * 7, &[(0..65536, 0x44)]);
        check_cuts(&edited(&files, 512), &[Step::Resize(3 * BLOCK, Preallocation::Off)], 5);
        check_cuts(&edited(&files, 512), &[Step::Resize(512 * 20, Preallocation::Off)], 6);
    }
    // The table has no room for so many blocks where it is.
    let files = alone("block_size=512k", BLOCK, &[(0..65536, 0x44)]);
    check_cuts(&edited(&files, 512), &[Step::Resize(130 * BLOCK, Preallocation::Off)], 7);
}
