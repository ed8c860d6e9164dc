//! Files that are read in place: any layout of blocks reads as a byte vector would.

use std::io::Write;

use crate::support::{WRAPPERS, open, pack, stream, unpack};
use imgfmt_core::{Limits, StorageExt, Wrapper};
use liblzma::stream::{Action, Check, Status, Stream};
use proptest::prelude::{ProptestConfig, any, prop, prop_assert, prop_assert_eq, proptest};

/// An xz file of a stream with blocks of `block_len` bytes.
fn xz_blocks(content: &[u8], block_len: usize) -> Vec<u8> {
    let mut encoder = Stream::new_easy_encoder(0, Check::Sha256).unwrap();
    let mut file = Vec::new();
    for block in content.chunks(block_len) {
        file.reserve(block.len() + 4096);
        encoder.process_vec(block, &mut file, Action::Run).unwrap();
        encoder.process_vec(&[], &mut file, Action::FullFlush).unwrap();
    }
    file.reserve(4096 + content.len() / block_len * 32);
    assert_eq!(encoder.process_vec(&[], &mut file, Action::Finish).unwrap(), Status::StreamEnd);
    file
}

/// A BGZF file.
fn bgzf(content: &[u8], block_len: usize) -> Vec<u8> {
    let mut file = Vec::new();
    for block in content.chunks(block_len).chain([&b""[..]]) {
        let mut encoder =
            flate2::GzBuilder::new().extra(&b"BC\x02\0\0\0"[..]).write(Vec::new(), flate2::Compression::fast());
        encoder.write_all(block).unwrap();
        let mut member = encoder.finish().unwrap();
        let size = u16::try_from(member.len() - 1).unwrap();
        member[16..18].copy_from_slice(&size.to_le_bytes());
        file.extend(member);
    }
    file
}

/// A seekable zstd file, without checksums in its table.
fn seekable(content: &[u8], block_len: usize) -> Vec<u8> {
    let mut file = Vec::new();
    let mut entries = Vec::new();
    for block in content.chunks(block_len) {
        let frame = pack(WRAPPERS[2], block);
        for len in [frame.len(), block.len()] {
            entries.extend(u32::try_from(len).unwrap().to_le_bytes());
        }
        file.extend(frame);
    }
    let frames = u32::try_from(entries.len() / 8).unwrap();
    file.extend(0x184d_2a5e_u32.to_le_bytes());
    file.extend(u32::try_from(entries.len() + 9).unwrap().to_le_bytes());
    file.extend(&entries);
    file.extend(frames.to_le_bytes());
    file.push(0);
    file.extend(0x8f92_eab1_u32.to_le_bytes());
    file
}

/// `content` in every kind of file that is read in place.
fn in_place(content: &[u8], block_len: usize) -> [(&'static dyn Wrapper, Vec<u8>); 4] {
    let xz = xz_blocks(content, block_len);
    let streams = content.chunks(block_len).map(|block| [pack(WRAPPERS[1], block), vec![0; 8]].concat());
    [
        (WRAPPERS[0], bgzf(content, block_len)),
        (WRAPPERS[1], xz),
        (WRAPPERS[1], streams.collect::<Vec<_>>().concat()),
        (WRAPPERS[2], seekable(content, block_len)),
    ]
}

#[test]
fn nothing_is_unpacked_where_blocks_stand_for_themselves() {
    let content: Vec<u8> = (0..100_000_u32).map(|i| (i / 7) as u8).collect();
    let mut limits = Limits::default();
    limits.spool_bytes = 0;
    for (wrapper, packed) in in_place(&content, 10_000) {
        let opened = open(wrapper, &packed, &limits).unwrap();
        assert_eq!(opened.len(), 100_000);
        assert_eq!(opened.read_vec(9_990, 30_000).unwrap(), content[9_990..39_990], "{}", wrapper.name());
        assert!(opened.read_vec(99_999, 2).is_err());
        assert!(!opened.segment(99_999).unwrap().hole);
        assert!(opened.segment(100_000).is_err());
    }
}

#[test]
fn what_does_not_fit_the_limits_is_unpacked() {
    let content = vec![3; 100_000];
    let mut limits = Limits::default();
    for (wrapper, packed) in in_place(&content, 10_000) {
        limits.unit_bytes = 9_999;
        assert_eq!(open(wrapper, &packed, &limits).unwrap().len(), 100_000);
        (limits.unit_bytes, limits.metadata_bytes) = (1 << 20, 120);
        assert_eq!(open(wrapper, &packed, &limits).unwrap().len(), 100_000);
    }
}

#[test]
fn threads_that_read_on_see_the_same_bytes() {
    let content: Vec<u8> = (0..4_000_000_u32).map(|i| (i >> 9) as u8 ^ (i % 251) as u8).collect();
    for (wrapper, packed) in in_place(&content, 60_000) {
        let opened = open(wrapper, &packed, &Limits::default()).unwrap();
        let next = std::sync::atomic::AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    loop {
                        let start = next.fetch_add(10_000, std::sync::atomic::Ordering::Relaxed);
                        let Some(part) = content.get(start..start + 10_000) else { break };
                        assert!(opened.read_vec(start as u64, 10_000).unwrap() == part, "{} {start}", wrapper.name());
                    }
                });
            }
        });
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_part_reads_as_it_was(
        content in prop::collection::vec(any::<u8>(), 1..6000),
        block_len in 20_usize..3000,
        at in any::<prop::sample::Index>(),
        len in 0_usize..5000,
    ) {
        for (wrapper, packed) in in_place(&content, block_len) {
            let start = at.index(content.len());
            let end = (start + len).min(content.len());
            let opened = open(wrapper, &packed, &Limits::default()).unwrap();
            prop_assert_eq!(opened.len(), content.len() as u64);
            prop_assert_eq!(opened.read_vec(start as u64, end - start).unwrap(), &content[start..end]);
            prop_assert_eq!(stream(wrapper, &packed).unwrap(), &content[..]);
        }
    }

    #[test]
    fn damage_is_an_error_or_changes_nothing(
        content in prop::collection::vec(0_u8..4, 1..3000),
        block_len in 100_usize..3000,
        at in any::<prop::sample::Index>(),
        bits in 1_u8..,
    ) {
        for (wrapper, mut packed) in in_place(&content, block_len) {
            let at = at.index(packed.len());
            packed[at] ^= bits;
            for read in [unpack(wrapper, &packed), stream(wrapper, &packed)] {
                prop_assert!(read.is_err() || read.unwrap() == content, "{} at {}", wrapper.name(), at);
            }
        }
    }
}
