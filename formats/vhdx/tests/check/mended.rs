//! What is mended, wherever the power is cut meanwhile.

use imgfmt_core::conformance::{Recording, check_repair};
use imgfmt_core::{Findings, Repair, Severity};

use crate::build::{DATA_AT, File, LOG_GUID, MIB, Shape};
use crate::shelf::unpack;
use crate::support::{disk, edited, files, is_bad, layer, look};

/// Repairs `bytes`, checks that a cut does not harm, and that the disk reads as `expected` then. Returns what was found.
fn mend(bytes: &[u8], expected: Option<&[u8]>) -> Findings {
    let files = files(bytes.to_vec());
    let findings = check_repair(&edited(&files), Repair::All, 3);
    let (outcome, mended) = look(bytes, Some(Repair::All));
    assert_eq!(outcome.unwrap().0.kept(), findings.kept());
    assert!(!is_bad(&findings), "{:?}", findings.kept());
    assert_eq!(look(&mended, None).0.unwrap().0.total(), 0);
    let mended = crate::support::files(mended);
    let disk = edited(&mended).read(&Recording::new(&mended).files()).unwrap();
    assert!(expected.is_none_or(|expected| disk == expected), "the disk is another");
    findings
}

/// The bytes of a disk.
fn read(bytes: &[u8]) -> Vec<u8> {
    let files = files(bytes.to_vec());
    edited(&files).read(&Recording::new(&files).files()).unwrap()
}

#[test]
fn structures_that_are_there_twice_are_mended() {
    let whole = read(&disk().0);
    type Damage<'a> = &'a dyn Fn(&mut File);
    let damages: [(&str, Damage<'_>); 6] = [
        ("vhdx-signature", &|file| file.put(0, b"x")),
        ("vhdx-header-damaged", &|file| file.put(64 << 10, b"x")),
        ("vhdx-header-damaged", &|file| file.put(128 << 10, b"x")),
        ("vhdx-region-table-damaged", &|file| file.put(192 << 10, b"x")),
        ("vhdx-region-table-damaged", &|file| file.put(256 << 10, b"x")),
        ("vhdx-bat-reserved", &|file| file.entry(1, 2 | 8)),
    ];
    for (id, damage) in damages {
        let mut file = disk();
        damage(&mut file);
        let findings = mend(&file.0, Some(&whole));
        assert_eq!(findings.kept().len(), 1);
        assert!(findings.kept()[0].id == id && findings.kept()[0].fixed, "{:?}", findings.kept());
    }
    // All of them at once.
    let mut file = disk();
    [0, 3, 5].iter().for_each(|&index| damages[index].1(&mut file));
    file.put(64 << 10, b"x");
    file.append(MIB, 3);
    assert_eq!(mend(&file.0, Some(&whole)).total(), 5);
}

#[test]
fn space_that_is_leaked_is_given_back() {
    let mut file = disk();
    let whole = file.0.clone();
    file.append(2 * MIB + 5, 9);
    let (outcome, mended) = look(&file.0, Some(Repair::Leaks));
    assert_eq!(outcome.unwrap().0.fixed(Severity::Leak), 3);
    assert!(mended == whole);
    // Not where something is wrong that may have been there.
    file.entry(1, (99 * MIB) | 6);
    let (outcome, mended) = look(&file.0, Some(Repair::All));
    assert_eq!(outcome.unwrap().0.open(Severity::Leak), 3);
    assert!(mended == file.0);
}

#[test]
fn leaks_alone_are_given_back_where_no_more_is_allowed() {
    let mut file = disk();
    file.put(64 << 10, b"x");
    let damaged = file.0.clone();
    file.append(MIB, 9);
    let (outcome, mended) = look(&file.0, Some(Repair::Leaks));
    let (findings, _) = outcome.unwrap();
    assert_eq!((findings.open(Severity::Corruption), findings.fixed(Severity::Leak)), (1, 1));
    assert!(mended == damaged);
}

#[test]
fn a_log_is_replayed() {
    for name in ["three-entries", "table", "zeros", "torn", "grows"] {
        let bytes = unpack(&format!("valid/log-{name}.vhdx.gz"));
        let (outcome, same) = look(&bytes, Some(Repair::Leaks));
        assert_eq!(outcome.unwrap().0.open(Severity::Corruption), 1, "{name}");
        assert!(same == bytes);
        let findings = mend(&bytes, Some(&read(&bytes)));
        assert_eq!(findings.kept()[0].id, "vhdx-log-dirty", "{name}");
        assert_eq!(findings.fixed(Severity::Corruption), 1, "{name}");
    }
}

#[test]
fn a_log_that_says_nothing_is_forgotten() {
    let whole = disk();
    let mut file = disk();
    file.headers(Some(LOG_GUID));
    let findings = mend(&file.0, Some(&read(&whole.0)));
    assert_eq!(findings.kept()[0].id, "vhdx-log-damaged");
}

#[test]
fn blocks_that_share_their_bytes_are_parted() {
    // Two blocks at one place, and a bitmap in a block.
    let mut file = disk();
    file.entry(1, DATA_AT | 6);
    let before = read(&file.0);
    let findings = mend(&file.0, Some(&before));
    assert_eq!((findings.kept()[0].id, findings.total()), ("vhdx-block-shared", 1));
    let mut file = layer();
    file.entry(4096, DATA_AT | 6);
    let (outcome, mended) = look(&file.0, Some(Repair::All));
    assert!(!is_bad(&outcome.unwrap().0));
    assert!(!is_bad(&look(&mended, None).0.unwrap().0));
    // A block is not copied over and over.
    let mut file = File::new(&Shape { size: 40 * MIB, block: MIB, sector: 512, parent: false });
    let host = file.append(MIB, 0x11);
    (0..40).for_each(|index| file.entry(index, host | 6));
    let (outcome, mended) = look(&file.0, Some(Repair::All));
    let findings = outcome.unwrap().0;
    assert_eq!((findings.fixed(Severity::Corruption), findings.open(Severity::Corruption)), (5, 34));
    assert_eq!(mended.len(), 2 * file.0.len());
}
