//! A file that is right, but for some bytes, and whose checksums are right all the same: a disk or an error.

use imgfmt_core::conformance::survive;
use imgfmt_vhdx::Vhdx;
use proptest::prelude::{Strategy, any, prop_oneof, proptest};

use crate::build::{DATA_AT, File, LOG_AT, LOG_GUID, MIB, Shape, seal};
use crate::config;
use crate::log::{Change, entry};

/// Where structures are: headers, region tables, the log, metadata table and items, and the table's payload and bitmap
/// entries.
const PLACES: [u64; 9] =
    [64 << 10, 128 << 10, 192 << 10, 256 << 10, LOG_AT, 2 * MIB, 2 * MIB + (64 << 10), 3 * MIB, 3 * MIB + 4096 * 8];

/// Bytes that replace others: at a place, near its start, as numbers that matter.
fn changes() -> impl Strategy<Value = Vec<(usize, u64, u64, usize)>> {
    let offset = prop_oneof![4 => 0..260u64, 1 => 0..9000u64];
    let value = prop_oneof![
        any::<u64>(),
        0..10u64,
        (0..64u32).prop_map(|bit| 1 << bit),
        (0..64u32).prop_map(|bit| u64::MAX << bit),
        (0..20u64).prop_map(|mib| mib << 20 | 7),
    ];
    proptest::collection::vec((0..PLACES.len(), offset, value, 1..=8usize), 1..6)
}

/// A disk with two blocks, one of which is stored in part where there is a parent, and a log.
fn file(parent: bool, logged: bool) -> File {
    let mut file = File::new(&Shape { size: 2 * MIB, block: MIB, sector: 512, parent });
    let block = file.append(MIB, 0x5a);
    file.entry(0, block | 6);
    if parent {
        let bitmap = file.append(MIB, 0x33);
        file.entry(1, block | 7);
        file.entry(4096, bitmap | 6);
    }
    if logged {
        let changes = [Change { run: 0..1, fill: Some(9) }, Change { run: 3..9, fill: None }];
        for (number, at) in [(1u64, 0), (2, 2)] {
            file.put(LOG_AT + at * 4096, &entry(number, 0, &changes));
        }
        file.headers(Some(LOG_GUID));
    }
    file
}

/// Sets the checksums of everything that has one.
fn seal_all(bytes: &mut [u8]) {
    for (at, len) in [(64, 4), (128, 4), (192, 64), (256, 64)] {
        seal(&mut bytes[at << 10..(at + len) << 10]);
    }
    let log = LOG_AT as usize;
    for at in (log..log + (16 << 12)).step_by(4096) {
        let len = u32::from_le_bytes(bytes[at + 8..at + 12].try_into().unwrap()) as usize;
        if bytes[at..].starts_with(b"loge") && (64..=MIB as usize).contains(&len) && at + len <= log + MIB as usize {
            seal(&mut bytes[at..at + len]);
        }
    }
}

proptest! {
    #![proptest_config(config(96))]

    #[test]
    fn no_numbers_hurt(
        changes in changes(),
        parent in any::<bool>(),
        logged in any::<bool>(),
        cut in proptest::option::of(0..DATA_AT + 2 * MIB),
    ) {
        let mut bytes = file(parent, logged).0;
        for (place, offset, value, len) in changes {
            let at = (PLACES[place] + offset) as usize;
            bytes[at..at + len].copy_from_slice(&value.to_le_bytes()[..len]);
        }
        seal_all(&mut bytes);
        if let Some(cut) = cut {
            bytes.truncate(cut as usize);
        }
        survive(&Vhdx, &bytes);
    }
}
