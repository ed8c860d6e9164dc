//! Every fault is found under its name, and nothing else is.

use imgfmt_core::{CheckStats, Repair, Severity};

use crate::build::{DATA_AT, File, LOG_AT, LOG_GUID, MIB, Shape, seal};
use crate::support::{disk, ids, layer, look};

#[test]
fn whole_images_have_no_faults_and_their_blocks_are_counted() {
    let (outcome, _) = look(&disk().0, None);
    let (findings, stats) = outcome.unwrap();
    assert_eq!(findings.total(), 0, "{:?}", findings.kept());
    let end = Some(DATA_AT + 2 * MIB);
    let expected = CheckStats { total_units: 3, allocated_units: 2, image_end: end, ..CheckStats::default() };
    assert_eq!(stats, expected);
    assert!(ids(&layer().0).is_empty());
    // A block that lies before its neighbour.
    let mut file = disk();
    file.entry(0, (DATA_AT + MIB) | 6);
    file.entry(2, DATA_AT | 6);
    assert_eq!(look(&file.0, None).0.unwrap().1.fragmented_units, 1);
}

#[test]
fn what_a_reader_needs_is_found_damaged() {
    let damaged = |change: &dyn Fn(&mut File)| {
        let mut file = disk();
        change(&mut file);
        ids(&file.0)
    };
    assert_eq!(damaged(&|file| file.put(0, b"x")), ["vhdx-signature"]);
    assert_eq!(damaged(&|file| file.put(128 << 10, b"x")), ["vhdx-header-damaged"]);
    assert_eq!(damaged(&|file| file.put(192 << 10, b"x")), ["vhdx-region-table-damaged"]);
    assert_eq!(damaged(&|file| file.put(256 << 10, b"x")), ["vhdx-region-table-damaged"]);
    let both = |file: &mut File| [192, 256].iter().for_each(|at| file.put(at << 10, b"x"));
    assert_eq!(damaged(&both), ["vhdx-region-table-damaged"; 2]);
    assert_eq!(damaged(&|file| file.headers(Some(LOG_GUID))), ["vhdx-log-damaged"]);
    // The metadata: the table, a value, and the place of an item.
    assert_eq!(damaged(&|file| file.put(2 * MIB, b"x")), ["vhdx-metadata-table"]);
    assert_eq!(damaged(&|file| file.put(2 * MIB + (64 << 10), &[1])), ["vhdx-metadata-item"]);
    let overlap = |file: &mut File| file.put(2 * MIB + 32 + 16, &((64 << 10) + 8u32).to_le_bytes());
    assert!(damaged(&overlap).contains(&"vhdx-metadata-overlap"));
    // Both headers.
    let mut file = disk();
    [64, 128].iter().for_each(|at| file.put(at << 10, b"x"));
    assert!(look(&file.0, None).0.is_err());
}

#[test]
fn region_tables_that_differ_are_found() {
    let mut file = disk();
    let mut table = file.0[256 << 10..320 << 10].to_vec();
    // Another place for the table of blocks, which is no block's.
    table[16 + 16..16 + 24].copy_from_slice(&(9 * MIB).to_le_bytes());
    seal(&mut table);
    file.put(256 << 10, &table);
    assert_eq!(ids(&file.0), ["vhdx-region-tables-differ"]);
}

#[test]
fn entries_that_are_wrong_are_found() {
    let with = |index: u64, entry: u64| {
        let mut file = disk();
        file.entry(index, entry);
        ids(&file.0)
    };
    assert_eq!(with(1, 4), ["vhdx-bat-state"]);
    assert_eq!(with(1, 2 | 8), ["vhdx-bat-reserved"]);
    assert_eq!(with(0, DATA_AT | 6 | 1 << 19), ["vhdx-bat-reserved"]);
    assert_eq!(with(1, (99 * MIB) | 6), ["vhdx-block-outside"]);
    assert_eq!(with(1, u64::MAX << 20 | 6), ["vhdx-block-outside"]);
    for taken in [0, LOG_AT, 2 * MIB, 3 * MIB] {
        assert_eq!(with(1, taken | 6), ["vhdx-block-overlap"]);
    }
    assert_eq!(with(1, DATA_AT | 6), ["vhdx-block-shared"]);
    assert_eq!(with(0, DATA_AT | 7), ["vhdx-block-partial"]);
    // Behind the end of the disk, entries mean nothing.
    assert!(with(3, 4).is_empty());
}

#[test]
fn entries_of_layers_that_are_wrong_are_found() {
    let with = |index: u64, entry: u64| {
        let mut file = layer();
        file.entry(index, entry);
        ids(&file.0)
    };
    assert_eq!(with(4096, 0), ["vhdx-bitmap-missing", "vhdx-space-leaked"]);
    assert_eq!(with(4096, (DATA_AT + MIB) | 5), ["vhdx-bitmap-missing", "vhdx-bitmap-state", "vhdx-space-leaked"]);
    assert_eq!(with(4096, DATA_AT | 6)[0], "vhdx-block-shared");
    assert_eq!(with(4096, (99 * MIB) | 6)[0], "vhdx-block-outside");
    assert_eq!(with(4096, (3 * MIB) | 6)[0], "vhdx-block-overlap");
    assert_eq!(with(0, DATA_AT | 7), ["vhdx-block-shared"]);
    // In the middle of a disk without parent, nobody reads it.
    let mut file = File::new(&Shape { size: 5000 * MIB, block: MIB, sector: 512, parent: false });
    file.entry(4096, DATA_AT | 6);
    assert_eq!(ids(&file.0), ["vhdx-bitmap-unused"]);
}

#[test]
fn space_behind_everything_is_counted_by_blocks() {
    let mut file = disk();
    file.append(2 * MIB + 5, 9);
    let (outcome, _) = look(&file.0, None);
    let (findings, _) = outcome.unwrap();
    assert_eq!((findings.open(Severity::Leak), findings.total()), (3, 3));
    assert!(findings.kept().iter().all(|finding| finding.repair == Some(Repair::Leaks)));
    // A gap is free, and less than a MiB is nothing.
    let mut file = disk();
    file.entry(0, 0);
    file.append(0, 0);
    file.0.extend([0; 700]);
    assert_eq!(ids(&file.0), ["vhdx-space-free"]);
    // Where a block is not stored and yet named, its space is kept for it.
    file.entry(0, DATA_AT | 2);
    assert!(ids(&file.0).is_empty());
}

#[test]
fn findings_say_where() {
    let mut file = disk();
    file.entry(1, 4);
    let (outcome, _) = look(&file.0, None);
    let finding = outcome.unwrap().0.kept()[0].clone();
    assert_eq!((finding.offset, finding.guest), (Some(3 * MIB + 8), Some(MIB)));
    assert_eq!((finding.severity, finding.repair), (Severity::Corruption, None));
}
