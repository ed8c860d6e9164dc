//! What is wrong with a qcow image is found, by its name.

use std::path::PathBuf;
use std::sync::Arc;

use imgfmt_core::conformance::Noise;
use imgfmt_core::{
    CheckStats, DenyAll, Findings, Format, Limits, MemoryMedium, MemoryStorage, OpenContext, Repair, Result, Severity,
};
use imgfmt_qcow::Qcow;

/// What a check of `file` finds.
fn check(file: &[u8]) -> Result<(Findings, CheckStats)> {
    let (limits, mut findings) = (Limits::default(), Findings::new());
    let context = OpenContext::new(&limits, &DenyAll);
    let check = Qcow.abilities().check.expect("it checks");
    let stats = check.check(Arc::new(MemoryStorage::new(file)), &context, &mut findings)?;
    Ok((findings, stats))
}

/// The identifiers of all but warnings.
fn faults(file: &[u8]) -> Vec<&'static str> {
    let (findings, _) = check(file).expect("the header is whole");
    findings.kept().iter().filter(|found| found.severity > Severity::Warning).map(|found| found.id).collect()
}

/// The folder of test images.
fn samples(kind: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../testdata/qcow").join(kind)
}

/// The image of this name.
fn sample(kind: &str, name: &str) -> Vec<u8> {
    std::fs::read(samples(kind).join(name)).expect("it is there")
}

/// The number of 8 bytes at `at`.
fn number(file: &[u8], at: usize) -> u64 {
    u64::from_be_bytes(file[at..at + 8].try_into().expect("it has 8 bytes"))
}

/// The same image with another number of 8 bytes at `at`.
fn with(file: &[u8], at: usize, value: u64) -> Vec<u8> {
    let mut file = file.to_vec();
    file[at..at + 8].copy_from_slice(&value.to_be_bytes());
    file
}

/// The places of the L1 table, of an L2 table, and of two of its entries that name clusters.
fn places(file: &[u8]) -> (usize, usize, [usize; 2]) {
    let place = |at: usize| usize::try_from(number(file, at)).expect("it fits");
    let l1 = place(40);
    let l2 = place(l1);
    let mut entries = (0..64).map(|index| l2 + 8 * index).filter(|at| number(file, *at) != 0);
    let two = [entries.next().expect("one is there"), entries.next().expect("another is there")];
    (l1, l2, two)
}

#[test]
fn valid_images_have_no_damage() {
    let mut compressed = 0;
    for entry in std::fs::read_dir(samples("valid")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "qcow") {
            continue;
        }
        let file = std::fs::read(&path).unwrap();
        let (findings, stats) = check(&file).unwrap();
        assert_eq!(findings.open(Severity::Corruption), 0, "{}: {:?}", path.display(), findings.kept());
        assert!(stats.allocated_units <= stats.total_units && stats.image_end.unwrap() <= file.len() as u64);
        compressed += stats.compressed_units;
    }
    assert!(compressed > 0);
}

#[test]
fn each_fault_has_its_name() {
    let plain = sample("valid", "plain.qcow");
    let (l1, l2, [first, second]) = places(&plain);
    assert!(faults(&plain).is_empty(), "{:?}", faults(&plain));
    let far = plain.len() as u64;
    assert_eq!(faults(&with(&plain, 40, far))[0], "qcow-l1-outside");
    assert_eq!(faults(&with(&plain, l1, far))[0], "qcow-l2-outside");
    assert_eq!(faults(&with(&plain, l1, 40))[0], "qcow-overlap");
    assert_eq!(faults(&with(&plain, first, far))[0], "qcow-cluster-outside");
    assert_eq!(faults(&with(&plain, first, 1 << 63))[0], "qcow-entry-damaged");
    assert_eq!(faults(&with(&plain, second, number(&plain, first)))[0], "qcow-overlap");
    assert_eq!(faults(&with(&plain, second, l2 as u64))[0], "qcow-overlap");
    assert_eq!(faults(&with(&plain, second, 0)), ["qcow-space-unused"]);
    assert!(check(&plain[..40]).is_err());
}

#[test]
fn no_damage_harms_the_check() {
    let (plain, mut noise) = (sample("valid", "plain.qcow"), Noise(9));
    for _ in 0..2000 {
        let mut file = plain.clone();
        for _ in 0..4 {
            let at = usize::try_from(noise.below(1200)).unwrap();
            file[at] = u8::try_from(noise.below(256)).unwrap();
        }
        let _ = check(&file);
    }
}

#[test]
fn nothing_is_repaired() {
    let (limits, mut findings) = (Limits::default(), Findings::new());
    let context = OpenContext::new(&limits, &DenyAll);
    let check = Qcow.abilities().check.unwrap();
    let medium = Arc::new(MemoryMedium::new(&sample("valid", "plain.qcow")));
    assert!(check.repair(medium, Repair::All, &context, &mut findings).is_err());
    assert_eq!(check.repairs(), None);
}
