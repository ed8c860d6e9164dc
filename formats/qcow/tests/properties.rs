//! Any layout of a qcow image reads as a byte vector would.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::DeflateEncoder;
use imgfmt_core::conformance::{Files, Noise, check_image};
use imgfmt_qcow::Qcow;
use proptest::prelude::{ProptestConfig, any, proptest};

/// A disk of `size` bytes and its file: plain, compressed and absent clusters in any order, with gaps.
fn build(size: usize, cluster_bits: u8, l2_bits: u8, seed: u64) -> (Vec<u8>, Vec<u8>) {
    let mut noise = Noise(seed | 1);
    let cluster = 1usize << cluster_bits;
    let clusters = size.div_ceil(cluster);
    let spans = size.div_ceil(cluster << l2_bits);
    let mut file = vec![0; 48 + 8 * spans];
    let mut guest = vec![0; size];
    let mut order: Vec<usize> = (0..clusters).filter(|_| noise.below(3) != 0).collect();
    for index in (1..order.len()).rev() {
        order.swap(index, usize::try_from(noise.below(index as u64 + 1)).expect("it fits"));
    }
    let mut tables = vec![0; spans];
    for index in order {
        let span = index >> l2_bits;
        if tables[span] == 0 {
            tables[span] = file.len();
            file[48 + 8 * span..][..8].copy_from_slice(&(tables[span] as u64).to_be_bytes());
            file.resize(file.len() + (8 << l2_bits), 0);
        }
        file.resize(file.len() + usize::try_from(noise.below(600)).expect("it fits"), 0x11);
        let mut plain = vec![0; cluster];
        noise.text(&mut plain);
        let here = index * cluster..size.min((index + 1) * cluster);
        guest[here.clone()].copy_from_slice(&plain[..here.len()]);
        let mut entry = file.len() as u64;
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&plain).expect("it fits");
        let stream = encoder.finish().expect("it fits");
        if noise.below(2) == 0 && stream.len() < cluster {
            entry |= 1 << 63 | (stream.len() as u64) << (63 - cluster_bits);
            file.extend(stream);
        } else {
            file.extend(plain);
        }
        let slot = index & ((1 << l2_bits) - 1);
        file[tables[span] + 8 * slot..][..8].copy_from_slice(&entry.to_be_bytes());
    }
    file[..8].copy_from_slice(b"QFI\xfb\0\0\0\x01");
    file[24..32].copy_from_slice(&(size as u64).to_be_bytes());
    file[32..34].copy_from_slice(&[cluster_bits, l2_bits]);
    file[40..48].copy_from_slice(&48u64.to_be_bytes());
    (file, guest)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_layout_reads_as_a_byte_vector(size in 0..200_000usize, bits in 9..17u8, l2_bits in 6..14u8, seed in any::<u64>()) {
        let (file, guest) = build(size, bits, l2_bits, seed);
        let mut files = Files::default();
        files.add("disk", file);
        check_image(&files.open(&Qcow, "disk").expect("it fits"), Some(&guest), "a layout");
    }
}
