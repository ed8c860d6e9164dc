//! What is wrong with a Parallels image is found by its name, and a repair loses nothing that could be read.

use std::path::PathBuf;
use std::sync::Arc;

use imgfmt_core::conformance::Noise;
use imgfmt_core::{
    DenyAll, Findings, Format, Limits, MemoryMedium, MemoryStorage, OpenContext, Repair, Result, Severity, Storage,
};
use imgfmt_parallels::Parallels;

#[test]
fn valid_images_have_no_damage() {
    for entry in std::fs::read_dir(samples("valid")).unwrap() {
        let path = entry.unwrap().path();
        let faults = faults(&std::fs::read(&path).unwrap());
        match path.file_name().and_then(|name| name.to_str()) {
            Some("in-use.hds") => assert_eq!(faults, ["parallels-in-use"]),
            Some("data-off-0.hds") => assert_eq!(faults, ["parallels-data-off"]),
            name => assert!(faults.is_empty(), "{name:?}: {faults:?}"),
        }
    }
}

#[test]
fn each_fault_has_its_name() {
    for (name, id) in [
        ("malformed/bat-cut", "parallels-bat-outside"),
        ("malformed/cluster-behind-file", "parallels-cluster-outside"),
        ("malformed/cluster-cut", "parallels-cluster-outside"),
        ("malformed/cluster-in-bat", "parallels-cluster-in-bat"),
        ("hostile/cluster-twice", "parallels-cluster-twice"),
        ("hostile/cluster-overlaps", "parallels-cluster-twice"),
    ] {
        assert!(faults(&sample(name)).contains(&id), "{name}");
    }
    let mut longer = sample("valid/clusters");
    longer.resize(longer.len() + 1500, 0);
    assert_eq!(faults(&longer), ["parallels-end-unused"; 2]);
    assert_eq!(all(&sample("valid/hole")), ["parallels-clusters-unused"]);
    assert_eq!(all(&sample("valid/extension")), ["parallels-extension"]);
}

#[test]
fn an_empty_image_ends_where_it_says_that_clusters_begin() {
    let mut empty = sample("valid/empty");
    empty.truncate(64);
    empty.resize(8192, 0);
    let set = |file: &mut Vec<u8>, at: usize, value: u32| file[at..at + 4].copy_from_slice(&value.to_le_bytes());
    // Clusters of 2 KiB, a BAT of two entries, clusters from byte 8192 on.
    [(28, 4), (32, 2), (36, 8), (40, 0), (48, 16)].iter().for_each(|(at, value)| set(&mut empty, *at, *value));
    assert_eq!(faults(&empty), [""; 0]);
    let mut longer = empty.clone();
    longer.resize(8193, 0);
    assert_eq!(faults(&longer), ["parallels-end-unused"]);
    assert!(repair(&longer).unwrap().0 == empty);
    for (offset, len) in [(16, 2048), (16, 512), (2, 8192), (2, 512)] {
        let mut wrong = empty.clone();
        set(&mut wrong, 48, offset);
        wrong.truncate(len);
        assert_eq!(faults(&wrong)[0], "parallels-data-off", "{offset} {len}");
        let (mended, _) = repair(&wrong).unwrap();
        let mut wanted = empty[..2048].to_vec();
        set(&mut wanted, 48, 4);
        assert!(mended == wanted, "{offset} {len}");
    }
}

#[test]
fn clusters_that_share_sectors_are_not_mended() {
    let file = sample("hostile/cluster-overlaps");
    let (mended, findings) = repair(&file).unwrap();
    assert!(mended == file && findings.open(Severity::Corruption) > 0);
}

#[test]
fn a_repair_loses_nothing_and_leaves_nothing() {
    let mut noise = Noise(7);
    let mut below = |end: usize| usize::try_from(noise.below(end as u64)).unwrap();
    for name in ["clusters", "sectors", "hole", "tracks-3", "extension", "bat-large", "cut-last"] {
        let whole = sample(&format!("valid/{name}"));
        for round in 0..200 {
            let mut file = whole.clone();
            for _ in 0..=below(3) {
                file[64 + 4 * below(6)] = u8::try_from(below(14)).unwrap();
            }
            if below(3) == 0 {
                file[44..48].copy_from_slice(b"Ynot");
            }
            file.resize(file.len() + below(2) * below(3000), 0xee);
            file.truncate(file.len() - below(2) * below(1000));
            let before = sectors(&file);
            let (mended, said) = repair(&file).unwrap();
            let what = format!("{name} {round}: {:?}", said.kept());
            let after = sectors(&mended);
            assert!(before.iter().zip(&after).all(|(old, new)| old.is_none() || old == new), "{what}");
            if said.open(Severity::Corruption) == 0 {
                assert_eq!(faults(&mended), [""; 0], "{what}");
                assert!(after.iter().all(Option::is_some), "{what}");
            }
        }
    }
}

/// Each sector of the disk in `file` that can be read; of an image that does not open, none.
fn sectors(file: &[u8]) -> Vec<Option<Vec<u8>>> {
    let limits = Limits::default();
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new(file));
    let Ok(opened) = Parallels.open(storage, &OpenContext::new(&limits, &DenyAll)) else { return Vec::new() };
    let read = |at: u64| {
        let mut sector = vec![0; 512];
        opened.image.read_at(&mut sector, at * 512).ok().map(|()| sector)
    };
    (0..opened.image.size() / 512).map(read).collect()
}

/// `file` after a repair, and what that found.
fn repair(file: &[u8]) -> Result<(Vec<u8>, Findings)> {
    let (limits, mut findings) = (Limits::default(), Findings::new());
    let medium = Arc::new(MemoryMedium::new(file));
    let check = Parallels.abilities().check.expect("it checks");
    check.repair(medium.clone(), Repair::All, &OpenContext::new(&limits, &DenyAll), &mut findings)?;
    Ok((medium.to_vec(), findings))
}

/// What a check of `file` finds.
fn check(file: &[u8]) -> Findings {
    let (limits, mut findings) = (Limits::default(), Findings::new());
    let (context, storage) = (OpenContext::new(&limits, &DenyAll), Arc::new(MemoryStorage::new(file)));
    let checked = Parallels.abilities().check.expect("it checks").check(storage, &context, &mut findings);
    checked.expect("the header is whole");
    findings
}

/// The identifiers of all findings.
fn all(file: &[u8]) -> Vec<&'static str> {
    check(file).kept().iter().map(|found| found.id).collect()
}

/// The identifiers of all but warnings.
fn faults(file: &[u8]) -> Vec<&'static str> {
    check(file).kept().iter().filter(|found| found.severity > Severity::Warning).map(|found| found.id).collect()
}

/// The folder of test images.
fn samples(shelf: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../testdata/parallels").join(shelf)
}

/// The image of this name.
fn sample(name: &str) -> Vec<u8> {
    std::fs::read(samples(&format!("{name}.hds"))).expect("it is there")
}
