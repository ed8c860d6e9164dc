//! What is wrong with a disk is found, and what two copies bear out is mended.

use imgfmt_core::conformance::{Recording, check_repair};
use imgfmt_core::{Format, Repair, Severity};
use imgfmt_vhd::Vhd;
use proptest::prelude::{any, proptest};

use crate::build::{Footers, Layout, footer};
use crate::config;
use crate::edited::{Named, check, edited, faults, files_of, fixed, small_layouts};

proptest! {
    #![proptest_config(config(48))]

    #[test]
    fn damaged_footers_are_mended_whatever_the_layout(layout in small_layouts(), footers in 0..4_usize, seed in any::<u64>()) {
        let (footers, id) = [
            (Footers::FrontDamaged, "vhd-footer-front-damaged"),
            (Footers::EndDamaged, "vhd-footer-end-damaged"),
            (Footers::EndMissing, "vhd-footer-end-missing"),
            (Footers::SumsWrong, "vhd-footer-checksum"),
        ][footers];
        let files = files_of(&Layout { footers, ..layout }, 20);
        let before = edited(&files).read(&Recording::new(&files).files()).unwrap();
        assert!(faults(&check(&files)).contains(&id));
        let findings = check_repair(&edited(&files), Repair::All, seed);
        assert_eq!(findings.open(Severity::Corruption) + findings.open(Severity::Leak), 0);
        let recording = Recording::new(&files);
        edited(&files).check(&recording.files(), Some(Repair::All)).unwrap();
        assert!(edited(&files).read(&recording.files()).unwrap() == before);
        assert!(faults(&check(&recording.now())).is_empty());
    }

    #[test]
    fn layouts_that_keep_the_rules_are_whole(layout in small_layouts(), seed in any::<u64>()) {
        let files = files_of(&layout, 20);
        assert!(faults(&check(&files)).iter().all(|id| *id == "vhd-space-unused"), "{:?}", check(&files).kept());
        let findings = check_repair(&edited(&files), Repair::Leaks, seed);
        assert_eq!(findings.open(Severity::Leak), 0);
    }

    #[test]
    fn no_damage_harms_the_check(layout in small_layouts(), damage in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..8)) {
        let mut files = files_of(&layout, 20);
        // Where the structures are.
        let len = files[0].1.len().min(4096);
        for (at, byte) in damage {
            files[0].1[at.index(len)] = byte;
        }
        let recording = Recording::new(&files);
        let before = edited(&files).read(&recording.files()).ok();
        let _ = edited(&files).check(&recording.files(), None);
        if edited(&files).check(&recording.files(), Some(Repair::All)).is_ok() && before.is_some() {
            assert!(edited(&files).read(&recording.files()).ok() == before, "repair changed the disk");
        }
    }
}

/// A disk of 40 sectors in blocks of 4 KiB.
fn plain() -> Named {
    let layout = Layout {
        size: 40 * 512,
        block_bits: 12,
        differencing: false,
        seed: 5,
        footers: Footers::Whole,
        cut_last: false,
    };
    files_of(&layout, 0)
}

/// Where the header and the table of `file` are.
fn places(file: &[u8]) -> (usize, usize) {
    let number = |at: usize| usize::try_from(u64::from_be_bytes(file[at..at + 8].try_into().unwrap())).unwrap();
    let header = number(16);
    (header, number(header + 16))
}

/// Gives the header at `at` of `file` its checksum.
fn sum_header(file: &mut [u8], at: usize) {
    file[at + 36..at + 40].fill(0);
    let sum: u32 = file[at..at + 1024].iter().map(|&byte| u32::from(byte)).sum();
    file[at + 36..at + 40].copy_from_slice(&(!sum).to_be_bytes());
}

/// The faults of a plain disk to which `damage` was done, given the places of its header and table.
fn damaged(damage: impl Fn(&mut Vec<u8>, usize, usize)) -> Vec<&'static str> {
    let mut files = plain();
    let (header, table) = places(&files[0].1);
    damage(&mut files[0].1, header, table);
    let found = check(&files);
    faults(&found).into_iter().filter(|id| *id != "vhd-space-unused").collect()
}

/// Puts `entry` into the table.
fn set_entry(file: &mut [u8], table: usize, index: usize, entry: u32) {
    file[table + 4 * index..][..4].copy_from_slice(&entry.to_be_bytes());
}

#[test]
fn each_fault_has_its_name() {
    let entry = |file: &[u8], table: usize| {
        let all = file[table..table + 20].chunks(4).map(|entry| u32::from_be_bytes(entry.try_into().unwrap()));
        let used: Vec<_> = all.enumerate().filter(|(_, entry)| *entry != u32::MAX).collect();
        (used[0], used[1])
    };
    assert_eq!(damaged(|_, _, _| {}), [""; 0]);
    assert_eq!(damaged(|file, header, _| file[header] = b'C'), ["vhd-header-damaged"]);
    assert_eq!(damaged(|file, header, _| file[header + 36] ^= 1), ["vhd-header-checksum"]);
    assert_eq!(
        damaged(|file, header, _| {
            file[header + 28..header + 32].copy_from_slice(&2_u32.to_be_bytes());
            sum_header(file, header);
        }),
        ["vhd-table-small"]
    );
    assert_eq!(
        damaged(|file, header, _| {
            file[header + 16] = 1;
            sum_header(file, header);
        }),
        ["vhd-table-outside"]
    );
    assert_eq!(damaged(|file, _, table| set_entry(file, table, 0, 0x00ff_ffff)), ["vhd-block-outside"]);
    // It lies over the block behind the structures, too.
    let misplaced = damaged(|file, _, table| set_entry(file, table, 0, 0));
    assert_eq!(misplaced, ["vhd-block-misplaced", "vhd-block-overlap"]);
    assert_eq!(
        damaged(|file, _, table| {
            let (_, (second, _)) = entry(file, table);
            let ((_, first), _) = entry(file, table);
            set_entry(file, table, second, first + 1);
        }),
        ["vhd-block-overlap"]
    );
    assert_eq!(
        damaged(|file, _, _| {
            // The copy in front says another size, with a right checksum.
            let size = u64::from_be_bytes(file[48..56].try_into().unwrap());
            let other = footer(3, size - 512, u64::from_be_bytes(file[16..24].try_into().unwrap()), [0x77; 16]);
            file[..512].copy_from_slice(&other);
        }),
        ["vhd-footers-differ"]
    );
}

#[test]
fn a_checksum_that_the_table_bears_out_is_mended() {
    let mut files = plain();
    let (header, _) = places(&files[0].1);
    let before = edited(&files).read(&Recording::new(&files).files()).unwrap();
    files[0].1[header + 36] ^= 1;
    assert!(edited(&files).read(&Recording::new(&files).files()).is_err());
    let findings = check_repair(&edited(&files), Repair::All, 3);
    assert_eq!(findings.open(Severity::Corruption), 0);
    let recording = Recording::new(&files);
    edited(&files).check(&recording.files(), Some(Repair::All)).unwrap();
    assert!(edited(&files).read(&recording.files()).unwrap() == before);
}

#[test]
fn leaks_alone_are_mended_where_nothing_else_may_be() {
    let mut files = plain();
    let (_, table) = places(&files[0].1);
    for index in 0..5 {
        set_entry(&mut files[0].1, table, index, u32::MAX);
    }
    assert_eq!(faults(&check(&files)), ["vhd-space-unused"]);
    let recording = Recording::new(&files);
    let (findings, stats) = edited(&files).check(&recording.files(), Some(Repair::Leaks)).unwrap();
    assert_eq!((findings.open(Severity::Leak), findings.fixed(Severity::Leak)), (0, 1));
    assert_eq!((stats.total_units, stats.allocated_units), (5, 0));
    assert!(recording.now()[0].1.len() < files[0].1.len());
    let damaged = files_of(
        &Layout {
            size: 4096,
            block_bits: 12,
            differencing: false,
            seed: 5,
            footers: Footers::EndDamaged,
            cut_last: false,
        },
        0,
    );
    let recording = Recording::new(&damaged);
    edited(&damaged).check(&recording.files(), Some(Repair::Leaks)).unwrap();
    assert!(recording.now() == damaged, "only leaks may be mended");
}

#[test]
fn a_fixed_disk_is_what_its_length_says() {
    assert!(faults(&check(&fixed(8, 3))).is_empty());
    let mut followed = fixed(8, 3);
    followed[0].1.extend([7; 1000]);
    assert_eq!(faults(&check(&followed)), ["vhd-footer-followed"]);
    check_repair(&edited(&followed), Repair::All, 5);
    let recording = Recording::new(&followed);
    edited(&followed).check(&recording.files(), Some(Repair::All)).unwrap();
    assert!(recording.now() == fixed(8, 3));

    let mut long = fixed(8, 3);
    long[0].1.splice(8 * 512..8 * 512, [7; 2048]);
    assert_eq!(faults(&check(&long)), ["vhd-space-unused"]);
    check_repair(&edited(&long), Repair::Leaks, 5);
    let recording = Recording::new(&long);
    edited(&long).check(&recording.files(), Some(Repair::Leaks)).unwrap();
    assert!(recording.now() == fixed(8, 3));

    let mut short = fixed(8, 3);
    short[0].1.drain(..512);
    assert_eq!(faults(&check(&short)), ["vhd-fixed-short"]);
    assert_eq!(Vhd.abilities().check.unwrap().repairs(), Some(Repair::All));
}

#[test]
fn samples_are_as_whole_as_their_names_say() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/vhd");
    for kind in ["valid", "malformed", "hostile"] {
        for entry in std::fs::read_dir(folder.join(kind)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let files = vec![("disk".to_owned(), std::fs::read(&path).unwrap())];
            let found = edited(&files).check(&Recording::new(&files).files(), None);
            if kind != "valid" {
                // Whatever it finds, it comes to an end.
                continue;
            }
            let (findings, stats) = found.unwrap();
            let damaged = ["-damaged", "-missing", "sum-wrong", "sums-wrong"].iter().any(|part| name.contains(part));
            assert_eq!(findings.open(Severity::Corruption) > 0, damaged, "{name}: {:?}", findings.kept());
            assert!(stats.allocated_units <= stats.total_units, "{name}");
            let after = check_repair(&edited(&files), Repair::All, 7);
            assert_eq!(after.open(Severity::Corruption) + after.open(Severity::Leak), 0, "{name}");
        }
    }
}
