//! Any steps leave what a byte vector would hold, and a whole image.

use imgfmt_core::conformance::{Step, check_edits, random_steps};
use imgfmt_core::{Erase, Preallocation};
use proptest::prelude::{any, proptest};

use crate::images::{alone, edited, layers};

/// The kinds of disks.
const KINDS: [&str; 3] = ["block_size=512k", "block_size=2M", "subformat=fixed"];
/// 512 KiB.
const BLOCK: u64 = 512 << 10;

proptest! {
    #![proptest_config(imgfmt_core::property_config!(12))]

    #[test]
    fn any_edits_of_a_disk_read_as_a_byte_vector_would(seed in any::<u64>(), kind in 0..KINDS.len()) {
        let size = 3 * BLOCK + 512 * 5;
        let files = alone(KINDS[kind], size, &[(0..BLOCK / 2, 0x44), (2 * BLOCK..2 * BLOCK + 65536, 0x55)]);
        let edited = edited(&files, 512 * 90);
        check_edits(&edited, &random_steps(&edited, seed, 12, size, 1));
    }

    #[test]
    fn any_edits_of_a_layer_read_as_a_byte_vector_would(seed in any::<u64>()) {
        let files = layers("block_size=512k");
        let mut edited = edited(&files, 512 * 90);
        edited.shrinks = true;
        check_edits(&edited, &random_steps(&edited, seed, 12, 7 * BLOCK, 512));
    }
}

#[test]
fn whole_blocks_come_and_go() {
    for options in KINDS {
        let files = alone(options, 6 * BLOCK, &[(0..3 * BLOCK, 0x66)]);
        let steps = [
            Step::Erase(0, 6 * BLOCK, Erase::Zero),
            Step::Flush,
            Step::Write(4 * BLOCK, BLOCK, 7),
            Step::Write(100, 5, 8),
            Step::Erase(0, 6 * BLOCK, Erase::ZeroKeepSpace),
            Step::Resize(9 * BLOCK, Preallocation::Off),
            Step::Write(8 * BLOCK + 3, BLOCK - 3, 9),
            Step::Resize(BLOCK, Preallocation::Off),
            Step::Resize(3 * BLOCK, Preallocation::Off),
        ];
        check_edits(&edited(&files, 512), &steps);
    }
}
