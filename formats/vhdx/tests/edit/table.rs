//! A disk that outgrows its block allocation table.

use imgfmt_core::conformance::{Edited, Files, Recording};
use imgfmt_core::{Image, Preallocation, Repair, Severity};
use imgfmt_vhdx::Vhdx;

use crate::images::{MIB, alone, edited, layers};

/// More blocks of 1 MiB than 1 MiB of table has entries for.
const LARGE: u64 = 140_000 * MIB;

/// The size of the disk, and the bytes of its first MiB.
fn seen(edited: &Edited<'_>, files: &Files) -> (u64, Vec<u8>) {
    let disk = files.open(&Vhdx, edited.name).unwrap();
    let mut bytes = vec![0; MIB as usize];
    disk.read_at(&mut bytes, 0).unwrap();
    (disk.size(), bytes)
}

/// Checks that the image has no fault.
fn assert_clean(edited: &Edited<'_>, files: &Files, what: &str) {
    let (findings, _) = edited.check(files, None).unwrap();
    let bad = [Severity::Leak, Severity::Unchecked, Severity::Corruption];
    assert!(bad.iter().all(|severity| findings.open(*severity) == 0), "{what}: {:?}", findings.kept());
}

#[test]
fn a_table_that_moves_is_there_or_not_wherever_the_power_is_cut() {
    let files = alone("block_size=1M", 2 * MIB, &[(0..MIB, 0x44)]);
    let edited = edited(&files, 512);
    let recording = Recording::new(&files);
    edited
        .edit(&recording.files(), &mut |editor| {
            editor.resize(LARGE, Preallocation::Off)?;
            Ok(true)
        })
        .unwrap();
    let (mut sizes, mut chance) = (Vec::new(), 1u64);
    for cut in 0..=recording.len() {
        for way in 0..6 {
            // Nothing that was not flushed, all of it, and by chance.
            let mut keep = || {
                chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                way == 1 || way > 1 && chance >> 63 == 1
            };
            let left = Recording::new(&recording.cut(cut, &mut keep));
            let what = format!("cut after {cut}, way {way}");
            let (size, bytes) = seen(&edited, &left.files());
            assert!(bytes.iter().all(|byte| *byte == 0x44), "{what}");
            sizes.push(size);
            edited.check(&left.files(), Some(Repair::All)).unwrap();
            assert!(seen(&edited, &left.files()) == (size, bytes), "{what}");
            assert_clean(&edited, &left.files(), &what);
        }
    }
    sizes.dedup();
    assert!(sizes.contains(&(2 * MIB)) && sizes.contains(&LARGE), "{sizes:?}");
    assert!(sizes.iter().all(|size| [2 * MIB, LARGE].contains(size)), "{sizes:?}");
}

#[test]
fn a_table_that_moved_is_used() {
    for (files, fill) in [(alone("block_size=1M", 2 * MIB, &[(0..MIB, 0x11)]), 0), (layers("block_size=1M"), 0xb5)] {
        let edited = edited(&files, 512);
        let recording = Recording::new(&files);
        edited
            .edit(&recording.files(), &mut |editor| {
                editor.write_at(&[3; 512], MIB)?;
                editor.resize(LARGE, Preallocation::Off)?;
                editor.write_at(&[9; 1000], LARGE - 1000)?;
                editor.write_at(&[8; 1000], LARGE / 2)?;
                Ok(true)
            })
            .unwrap();
        let files = recording.files();
        let disk = files.open(&Vhdx, edited.name).unwrap();
        let at = |offset: u64| {
            let mut byte = [0];
            disk.read_at(&mut byte, offset).unwrap();
            byte[0]
        };
        let bytes = [0, MIB, MIB + 600, 10 * MIB, LARGE / 2, LARGE / 2 + 1000, LARGE - 1001, LARGE - 1].map(at);
        assert_eq!(bytes, [0x11, 3, fill, 0, 8, 0, 0, 9]);
        assert_clean(&edited, &files, "moved");
        edited
            .edit(&files, &mut |editor| {
                editor.resize(2 * MIB, Preallocation::Off)?;
                Ok(true)
            })
            .unwrap();
        assert_clean(&edited, &files, "moved and cut");
        assert_eq!(seen(&edited, &files).0, 2 * MIB);
    }
}
