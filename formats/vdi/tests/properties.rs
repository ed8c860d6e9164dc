//! Any layout of a VDI reads as a byte vector would.

use imgfmt_core::conformance::{Files, Noise, check_image};
use imgfmt_vdi::Vdi;
use proptest::prelude::{ProptestConfig, any, proptest};

/// A disk of `size` bytes and its file: blocks in any order, some zero, some never written, with gaps.
fn build(size: usize, block: usize, extra: usize, seed: u64) -> (Vec<u8>, Vec<u8>) {
    let mut noise = Noise(seed | 1);
    let blocks = size.div_ceil(block);
    let entries = blocks + usize::try_from(noise.below(3)).expect("it fits");
    let map_at = 472 + usize::try_from(noise.below(700)).expect("it fits");
    let data = map_at + entries * 4 + usize::try_from(noise.below(700)).expect("it fits");
    let mut file = vec![0; data];
    let mut guest = vec![0; size];
    file[map_at..map_at + entries * 4].fill(0xff);
    let mut order: Vec<usize> = (0..blocks).collect();
    for index in (1..blocks).rev() {
        order.swap(index, usize::try_from(noise.below(index as u64 + 1)).expect("it fits"));
    }
    let mut next = 0;
    for index in order {
        let entry = match noise.below(4) {
            0 => u32::MAX,
            1 => u32::MAX - 1,
            _ => {
                next += u32::try_from(noise.below(2)).expect("it fits");
                let at = data + usize::try_from(next).expect("it fits") * (extra + block) + extra;
                file.resize(at + block, 0x11);
                noise.fill(&mut file[at..]);
                let here = index * block..size.min((index + 1) * block);
                guest[here.clone()].copy_from_slice(&file[at..at + here.len()]);
                next += 1;
                next - 1
            }
        };
        file[map_at + 4 * index..][..4].copy_from_slice(&entry.to_le_bytes());
    }
    let number = |value: usize| u32::try_from(value).expect("it fits");
    for (at, value) in [
        (64, 0xbeda_107f),
        (68, 0x1_0001),
        (72, 400),
        (76, 1),
        (340, number(map_at)),
        (344, number(data)),
        (368, number(size)),
        (376, number(block)),
        (380, number(extra)),
        (384, number(entries)),
    ] {
        file[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }
    (file, guest)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_layout_reads_as_a_byte_vector(size in 0..200_000usize, bits in 9..17u32, extra in 0..700usize, seed in any::<u64>()) {
        let (file, guest) = build(size, 1 << bits, extra, seed);
        let mut files = Files::default();
        files.add("disk", file);
        check_image(&files.open(&Vdi, "disk").expect("it fits"), Some(&guest), "a layout");
    }
}
