//! What is wrong with a VDI is found, by its name.

use std::path::PathBuf;
use std::sync::Arc;

use imgfmt_core::conformance::Noise;
use imgfmt_core::{CheckStats, DenyAll, Findings, Format, Limits, MemoryStorage, OpenContext, Result, Severity};
use imgfmt_vdi::Vdi;

/// What a check of `file` finds.
fn check(file: &[u8]) -> Result<(Findings, CheckStats)> {
    let (limits, mut findings) = (Limits::default(), Findings::new());
    let context = OpenContext::new(&limits, &DenyAll);
    let check = Vdi.abilities().check.expect("it checks");
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
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../testdata/vdi").join(kind)
}

/// The image of this name.
fn sample(kind: &str, name: &str) -> Vec<u8> {
    std::fs::read(samples(kind).join(name)).expect("it is there")
}

#[test]
fn valid_images_have_no_damage_and_are_counted() {
    for entry in std::fs::read_dir(samples("valid")).unwrap() {
        let path = entry.unwrap().path();
        let file = std::fs::read(&path).unwrap();
        let (findings, stats) = check(&file).unwrap();
        if path.ends_with("gap.vdi") {
            // It reads; but programs that write put the next block where the count says, over one that is there.
            assert_eq!(faults(&file), ["vdi-allocated-count", "vdi-block-unused", "vdi-block-unused"]);
            continue;
        }
        assert_eq!(findings.open(Severity::Corruption), 0, "{}: {:?}", path.display(), findings.kept());
        let number = |at: usize| u64::from(u32::from_le_bytes(file[at..at + 4].try_into().unwrap()));
        assert_eq!(stats.total_units, number(384), "{}", path.display());
        let leaks = findings.open(Severity::Leak);
        assert_eq!(stats.allocated_units + leaks, number(388), "{}", path.display());
        assert!(stats.image_end.unwrap() <= file.len() as u64);
    }
}

#[test]
fn each_fault_has_its_name() {
    assert_eq!(faults(&sample("hostile", "block-twice.vdi"))[0], "vdi-block-twice");
    assert_eq!(faults(&sample("malformed", "block-behind-file.vdi"))[0], "vdi-block-outside");
    assert_eq!(faults(&sample("malformed", "map-cut.vdi")), ["vdi-map-outside"]);
    let dynamic = sample("valid", "dynamic.vdi");
    let with = |at: usize, value: u32| {
        let mut file = dynamic.clone();
        file[at..at + 4].copy_from_slice(&value.to_le_bytes());
        faults(&file)
    };
    assert_eq!(with(388, 0), ["vdi-allocated-count"]);
    let map = usize::try_from(u32::from_le_bytes(dynamic[340..344].try_into().unwrap())).unwrap();
    let stored = (0..4).map(|index| map + 4 * index).find(|at| dynamic[at + 3] == 0).unwrap();
    assert_eq!(with(stored, u32::MAX), ["vdi-block-unused"]);
    assert!(check(&dynamic[..300]).is_err());
}

#[test]
fn no_damage_harms_the_check() {
    let (dynamic, mut noise) = (sample("valid", "dynamic.vdi"), Noise(9));
    for _ in 0..2000 {
        let mut file = dynamic.clone();
        for _ in 0..4 {
            let at = usize::try_from(noise.below(700)).unwrap();
            file[at] = u8::try_from(noise.below(256)).unwrap();
        }
        let _ = check(&file);
    }
}
