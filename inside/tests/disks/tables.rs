//! Partition tables, whole and damaged.

use crate::common::{codes, look_at};
use crate::recipes::{GptDisk, GptPart, mbr_entry};
use imgfmt_inside::{CopyState, Inside, TableKind, to_json};

/// Start, length and number of each partition of a table.
fn places(inside: &Inside, kind: TableKind) -> Vec<(u32, u64, u64)> {
    let of_kind = inside.partitions.iter().filter(|part| part.table == kind);
    of_kind.map(|part| (part.number, part.start, part.len)).collect()
}

/// A GPT with two partitions.
fn gpt(sector_len: usize) -> GptDisk {
    let part = |first, last, name: &str| GptPart { first, last, name: name.to_owned() };
    let parts = vec![part(100, 199, "root"), part(200, 220, "daten ü")];
    GptDisk { sector_len, sectors: 400, count: 128, parts }
}

#[test]
fn logical_partitions_are_followed() {
    let mut disk = vec![0; 512 * 1000];
    mbr_entry(&mut disk, 0, 0, 0x80, 0x83, 10, 90);
    mbr_entry(&mut disk, 0, 1, 0, 0x05, 100, 800);
    mbr_entry(&mut disk, 100 * 512, 0, 0, 0x83, 1, 50);
    mbr_entry(&mut disk, 100 * 512, 1, 0, 0x05, 200, 300);
    mbr_entry(&mut disk, 300 * 512, 0, 0, 0x82, 1, 60);
    disk[440..444].copy_from_slice(&0xdead_beef_u32.to_le_bytes());
    let inside = look_at(&disk);
    let sectors = [(1, 10, 90), (2, 100, 800), (5, 101, 50), (6, 301, 60)];
    let bytes = sectors.map(|(number, start, len): (u32, u64, u64)| (number, start * 512, len * 512));
    assert_eq!(places(&inside, TableKind::Mbr), bytes);
    assert_eq!(inside.tables[0].id.as_deref(), Some("deadbeef"));
    assert!(inside.partitions[0].bootable && inside.partitions[1].container);
    assert_eq!(inside.partitions[3].type_name, Some("Linux swap"));
    assert!(inside.findings.is_empty(), "{:?}", inside.findings);
}

#[test]
fn chains_that_loop_break_or_never_end_are_found() {
    let mut disk = vec![0; 512 * 1000];
    mbr_entry(&mut disk, 0, 0, 0, 0x0f, 100, 800);
    mbr_entry(&mut disk, 100 * 512, 0, 0, 0x83, 1, 50);
    mbr_entry(&mut disk, 100 * 512, 1, 0, 0x05, 200, 300);
    assert_eq!(codes(&look_at(&disk)), ["mbr.logical"], "no signature");
    mbr_entry(&mut disk, 300 * 512, 0, 0, 0x83, 1, 50);
    mbr_entry(&mut disk, 300 * 512, 1, 0, 0x05, 0, 300);
    let looped = look_at(&disk);
    assert_eq!((codes(&looped), looped.partitions.len()), (vec!["mbr.logical"], 3));
    for sector in 100..900 {
        mbr_entry(&mut disk, sector * 512, 0, 0, 0, 0, 0);
        mbr_entry(&mut disk, sector * 512, 1, 0, 0x05, u32::try_from(sector - 99).unwrap(), 1);
    }
    assert_eq!(codes(&look_at(&disk)), ["mbr.logical"], "it never ends");
}

#[test]
fn a_sector_with_other_code_is_no_table() {
    let mut disk = vec![0; 512 * 100];
    disk[510..512].copy_from_slice(&[0x55, 0xaa]);
    assert!(look_at(&disk).tables.is_empty());
    mbr_entry(&mut disk, 0, 2, 0x12, 0x83, 10, 20);
    assert!(look_at(&disk).tables.is_empty());
    mbr_entry(&mut disk, 0, 2, 0, 0x83, 10, 20);
    assert_eq!(look_at(&disk).tables.len(), 1);
}

#[test]
fn partitions_that_share_bytes_or_leave_the_disk_are_found() {
    let mut disk = vec![0; 512 * 100];
    mbr_entry(&mut disk, 0, 0, 0x80, 0x83, 1, 50);
    mbr_entry(&mut disk, 0, 1, 0x80, 0x83, 50, 51);
    assert_eq!(codes(&look_at(&disk)), ["mbr.active", "partition.beyond-end", "partition.overlap"]);
}

#[test]
fn both_copies_of_a_gpt_are_looked_at_in_sectors_of_either_length() {
    for sector_len in [512, 4096] {
        let disk = gpt(sector_len);
        let inside = look_at(&disk.build());
        assert!(inside.findings.is_empty(), "{:?}", inside.findings);
        let len = sector_len as u64;
        let expected = [(1, 100 * len, 100 * len), (2, 200 * len, 21 * len)];
        assert_eq!(places(&inside, TableKind::Gpt), expected);
        assert_eq!(places(&inside, TableKind::Mbr), []);
        let table = &inside.tables[0];
        assert_eq!((table.kind, table.sector_len), (TableKind::Gpt, len));
        assert_eq!(table.id.as_deref(), Some("04030201-0605-0807-090a-0b0c0d0e0f10"));
        assert!(inside.tables[1].protective && !inside.tables[1].hybrid);
        assert_eq!(inside.partitions[1].name.as_deref(), Some("daten ü"));
        assert_eq!(inside.partitions[0].type_name, Some("Linux file system"));
    }
}

#[test]
fn a_gpt_shows_by_either_copy() {
    let disk = gpt(512);
    let whole = disk.build();
    let state = |inside: &Inside| inside.tables[0].gpt.map(|gpt| (gpt.primary, gpt.backup)).unwrap();
    let damage = |places: &[usize]| {
        let mut bytes = whole.clone();
        places.iter().for_each(|&at| bytes[at] ^= 0xff);
        look_at(&bytes)
    };
    let backup = disk.backup_at();
    for (places_hit, states, found) in [
        (vec![512 + 40], (CopyState::BadHeader, CopyState::Valid), vec!["gpt.primary"]),
        (vec![512], (CopyState::Missing, CopyState::Valid), vec!["gpt.primary"]),
        (vec![1024 + 130], (CopyState::BadEntries, CopyState::Valid), vec!["gpt.primary"]),
        (vec![backup], (CopyState::Valid, CopyState::Missing), vec!["gpt.backup"]),
        (vec![backup + 20], (CopyState::Valid, CopyState::BadHeader), vec!["gpt.backup"]),
        (vec![backup - 20], (CopyState::Valid, CopyState::Valid), vec![]),
        (vec![512 + 60, backup + 60], (CopyState::BadHeader, CopyState::BadHeader), vec!["gpt.primary", "gpt.backup"]),
    ] {
        let inside = damage(&places_hit);
        // The last bytes of the entries of the backup are those of the entries in use only where all are in use.
        if found.is_empty() {
            assert_eq!(state(&inside).0, CopyState::Valid);
            continue;
        }
        assert_eq!((state(&inside), codes(&inside)), (states, found), "{places_hit:?}");
        let readable = [states.0, states.1].contains(&CopyState::Valid);
        assert_eq!(places(&inside, TableKind::Gpt).len(), if readable { 2 } else { 0 });
    }
}

#[test]
fn a_disk_that_was_made_larger_or_smaller_says_so() {
    let disk = gpt(512);
    let mut larger = disk.build();
    larger.resize(larger.len() + 51_200, 0);
    assert_eq!(codes(&look_at(&larger)), ["gpt.backup-place"]);
    let mut smaller = disk.build();
    smaller.truncate(210 * 512);
    assert_eq!(codes(&look_at(&smaller)), ["gpt.backup", "gpt.backup-place", "partition.beyond-end"]);
}

#[test]
fn protection_that_is_not_there_or_protects_nothing_is_found() {
    let mut hybrid = gpt(512).build();
    mbr_entry(&mut hybrid, 0, 1, 0x80, 0x83, 100, 100);
    let inside = look_at(&hybrid);
    assert_eq!(codes(&inside), ["mbr.hybrid"]);
    assert_eq!(places(&inside, TableKind::Mbr), [(2, 51_200, 51_200)]);
    assert!(inside.tables[1].protective && inside.tables[1].hybrid);
    let mut bare = gpt(512).build();
    bare[..512].fill(0);
    assert_eq!(codes(&look_at(&bare)), ["gpt.protective"]);
    let mut nothing = vec![0; 512 * 100];
    mbr_entry(&mut nothing, 0, 0, 0, 0xee, 1, u32::MAX);
    assert_eq!(codes(&look_at(&nothing)), ["gpt.missing"]);
}

#[test]
fn partitions_that_cannot_be_are_found() {
    let mut disk = gpt(512);
    disk.parts[1] = GptPart { first: 150, last: 300, name: String::new() };
    disk.parts.push(GptPart { first: 350, last: 340, name: String::new() });
    disk.parts.push(GptPart { first: 10, last: 20, name: String::new() });
    disk.parts.push(GptPart { first: u64::MAX, last: u64::MAX, name: String::new() });
    let found = codes(&look_at(&disk.build()));
    for code in ["partition.reversed", "partition.unusable", "partition.overlap", "partition.beyond-end"] {
        assert!(found.contains(&code), "{code} is not in {found:?}");
    }
}

#[test]
fn a_file_system_that_was_cut_is_found() {
    let mut volume = vec![0; 70_000];
    volume[..16].copy_from_slice(b"XFSB\0\0\x10\0\0\0\0\0\0\0\0\x11");
    assert_eq!(codes(&look_at(&volume)), [""; 0]);
    volume[15] = 0x12;
    assert_eq!(codes(&look_at(&volume)), ["volume.too-long"]);
}

#[test]
fn an_apple_partition_map_is_read() {
    let mut disk = vec![0; 512 * 200];
    disk[..4].copy_from_slice(b"ER\x02\x00");
    for (index, (start, len, name, kind)) in
        [(1u32, 63u32, "Apple", "Apple_partition_map"), (64, 100, "disk", "Apple_HFS")].into_iter().enumerate()
    {
        let at = 512 * (index + 1);
        disk[at..at + 8].copy_from_slice(b"PM\0\0\0\0\0\x02");
        disk[at + 8..at + 12].copy_from_slice(&start.to_be_bytes());
        disk[at + 12..at + 16].copy_from_slice(&len.to_be_bytes());
        disk[at + 16..at + 16 + name.len()].copy_from_slice(name.as_bytes());
        disk[at + 48..at + 48 + kind.len()].copy_from_slice(kind.as_bytes());
    }
    disk[64 * 512 + 1024..][..4].copy_from_slice(b"H+\0\x04");
    let inside = look_at(&disk);
    assert_eq!(places(&inside, TableKind::Apm), [(1, 512, 63 * 512), (2, 64 * 512, 51_200)]);
    assert_eq!(inside.partitions[1].signatures[0].kind, "hfsplus");
    let json = to_json(&inside);
    assert_eq!((&json["tables"][0]["type"], &json["partitions"][1]["type"]), (&"apm".into(), &"Apple_HFS".into()));
    assert_eq!(json["partitions"][1]["signatures"][0]["class"], "file-system");
}
