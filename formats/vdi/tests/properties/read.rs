//! Any layout of a VDI reads as a byte vector would.

use imgfmt_core::conformance::{Files, Noise, check_image};
use imgfmt_vdi::Vdi;
use proptest::prelude::{any, proptest};
use proptest::sample::select;

use crate::build::{Layout, parent};
use crate::config;

proptest! {
    #![proptest_config(config(48))]

    #[test]
    fn any_layout_reads_as_a_byte_vector(
        size in 0..200_000usize,
        block_bits in 9..17u32,
        extra in 0..700usize,
        kind in select(vec![1, 2, 4]),
        seed in any::<u64>(),
        base_len in 0..100_000usize,
        cut_last in any::<bool>(),
    ) {
        let mut below = vec![0; base_len];
        Noise(seed | 1).fill(&mut below);
        let layout = Layout { size, block_bits, extra, kind, seed, aligned: false, gaps: true, cut_last };
        let (file, guest) = layout.build(&below);
        let mut files = Files::default();
        files.add("disk", file);
        files.add("base", parent(&below));
        check_image(&files.open(&Vdi, "disk").unwrap(), Some(&guest), "a layout");
    }
}
