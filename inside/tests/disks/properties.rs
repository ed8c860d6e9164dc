//! Any partitions are found, and no disk does harm.

use crate::common::look_at;
use crate::recipes::{GptDisk, GptPart, mbr_entry};
use imgfmt_core::conformance::Noise;
use imgfmt_inside::{Inside, to_json};
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_oneof, proptest};

/// Disks with a GPT and up to 30 partitions, in the order of their sectors.
fn disks() -> impl Strategy<Value = GptDisk> {
    let parts = proptest::collection::vec((0..20u64, 0..30u64, "[a-zäß€😀]{0,12}"), 0..30);
    (prop_oneof![Just(512usize), Just(4096)], parts, 30..200usize).prop_map(|(sector_len, parts, count)| {
        let mut next = 2 + (count as u64 * 128).div_ceil(sector_len as u64);
        let mut placed = Vec::new();
        for (gap, more, name) in parts {
            placed.push(GptPart { first: next + gap, last: next + gap + more, name });
            next += gap + more + 1;
        }
        let behind = (count * 128).div_ceil(sector_len) + 1;
        GptDisk { sector_len, sectors: usize::try_from(next).unwrap() + behind, count, parts: placed }
    })
}

proptest! {
    #![proptest_config(config(64))]

    #[test]
    fn any_partitions_are_found(disk in disks()) {
        let inside = look_at(&disk.build());
        assert!(inside.findings.is_empty(), "{:?}", inside.findings);
        assert_eq!(inside.partitions.len(), disk.parts.len());
        let len = disk.sector_len as u64;
        for (found, part) in inside.partitions.iter().zip(&disk.parts) {
            assert_eq!((found.start, found.end()), (part.first * len, (part.last + 1) * len));
            assert_eq!(found.name.as_deref().unwrap_or(""), part.name);
        }
    }

    #[test]
    fn damage_does_no_harm(
        disk in disks(),
        damage in proptest::collection::vec((any::<u32>(), any::<u8>()), 0..30),
        near in any::<bool>(),
        cut in any::<u32>(),
        logical in any::<u32>(),
    ) {
        let mut bytes = disk.build();
        mbr_entry(&mut bytes, 0, 1, 0, 0x05, logical % 64, 100);
        let len = bytes.len();
        for (at, byte) in damage {
            let at = if near { at as usize % 4096 } else { at as usize };
            bytes[at % len] = byte;
        }
        if cut % 4 == 0 {
            bytes.truncate(cut as usize % len);
        }
        check(&look_at(&bytes));
    }

    #[test]
    fn noise_with_magic_numbers_does_no_harm(seed in any::<u64>(), size in 0..400_000usize, zeros in any::<bool>()) {
        let mut noise = Noise(seed | 1);
        let mut bytes = vec![0; size];
        if !zeros {
            noise.fill(&mut bytes);
        }
        for &(at, magic) in MAGICS {
            if noise.below(3) > 0 && bytes.len() > at + magic.len() {
                bytes[at..at + magic.len()].copy_from_slice(magic);
            }
        }
        check(&look_at(&bytes));
    }
}

/// Checks what is so for any disk.
fn check(inside: &Inside) {
    for partition in &inside.partitions {
        let len = inside.size.saturating_sub(partition.start).min(partition.len);
        assert!(partition.signatures.iter().all(|signature| signature.at < len), "{partition:?}");
        assert!(!partition.container || partition.signatures.is_empty());
    }
    assert!(to_json(inside)["partitions"].as_array().unwrap().len() == inside.partitions.len());
}

/// Magic numbers and where they are.
const MAGICS: &[(usize, &[u8])] = &[
    (0, b"XFSB\0\0\x10\0"),
    (0, b"LUKS\xba\xbe\0\x02"),
    (0, b"hsqs"),
    (3, b"NTFS    \0\x02\xff"),
    (3, b"EXFAT   "),
    (3, b"-FVE-FS-"),
    (32, b"NXSB\0\x10\0\0"),
    (108, &[12, 25]),
    (510, b"\x55\xaa"),
    (512, b"LABELONE"),
    (512, b"EFI PART\0\0\x01\0\x5c\0\0\0"),
    (536, b"LVM2 001"),
    (1024, b"H+\0\x04"),
    (1024, b"\x10\x20\xf5\xf2"),
    (1080, &[0x53, 0xef]),
    (4086, b"SWAPSPACE2"),
    (4096, b"\xfc\x4e\x2b\xa9\x01\0\0\0"),
    (9564, b"\x54\x19\x01\0"),
    (16_384, b"\x01\x01\0\0\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\x07version\0"),
    (32_768, b"JFS1"),
    (32_769, b"BEA01"),
    (34_817, b"NSR03"),
    (36_864, b"\x01CD001\x01"),
    (65_588, b"ReIsEr2Fs"),
    (65_600, b"_BHRfS_M"),
];

/// The configuration of properties that `cases` cases are enough for; `PROPTEST_CASES` asks for more.
fn config(cases: u32) -> ProptestConfig {
    let default = ProptestConfig::default();
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { default.cases } else { cases };
    ProptestConfig { cases, failure_persistence: None, ..default }
}
