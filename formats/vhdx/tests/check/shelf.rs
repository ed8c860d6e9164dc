//! The images of the test data: whole ones have no fault, damaged ones do, and no repair makes anything worse.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use imgfmt_core::{DenyAll, Format, Limits, MemoryStorage, OpenContext, Repair, Severity};
use imgfmt_vhdx::Vhdx;

use crate::support::{is_bad, look};

/// The folder of the test data.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/vhdx")
}

/// The bytes of a packed image.
pub(crate) fn unpack(name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let file = std::fs::File::open(folder().join(name)).unwrap();
    flate2::read::GzDecoder::new(file).read_to_end(&mut bytes).unwrap();
    bytes
}

/// The images on a shelf.
fn shelf(name: &str) -> Vec<(String, Vec<u8>)> {
    let mut names: Vec<String> = folder()
        .join(name)
        .read_dir()
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|file| file.ends_with(".gz"))
        .collect();
    names.sort();
    names.into_iter().map(|file| (file.clone(), unpack(&format!("{name}/{file}")))).collect()
}

/// What can be read of the layer, in pieces; nothing where it cannot be opened.
fn pieces(bytes: &[u8]) -> Option<Vec<Option<Vec<u8>>>> {
    let limits = Limits::default();
    let storage = Arc::new(MemoryStorage::new(bytes.to_vec()));
    let image = Vhdx.open(storage, &OpenContext::new(&limits, &DenyAll)).ok()?.image;
    let piece = |at: u64| {
        let mut buf = vec![0; 65536.min(image.size() - at) as usize];
        image.read_at(&mut buf, at).ok().map(|()| buf)
    };
    Some((0..image.size().min(64 << 20)).step_by(65536).map(piece).collect())
}

/// Checks that a repair loses nothing that could be read, and can be done again.
fn check_repair(name: &str, bytes: &[u8]) {
    for repair in [Repair::Leaks, Repair::All] {
        let (outcome, mended) = look(bytes, Some(repair));
        if outcome.is_err() {
            assert!(mended == bytes, "{name}");
            continue;
        }
        if let Some(before) = pieces(bytes) {
            let after = pieces(&mended).unwrap_or_else(|| panic!("{name} cannot be opened any more"));
            let kept = before.iter().zip(&after).all(|(before, after)| before.is_none() || before == after);
            assert!(kept && before.len() == after.len(), "{name} lost something");
        }
        let (again, same) = look(&mended, Some(repair));
        let again = again.unwrap();
        assert!(same == mended && again.0.fixed(Severity::Corruption) == 0, "{name}: {:?}", again.0.kept());
    }
}

#[test]
fn whole_images_are_found_whole() {
    for (name, bytes) in shelf("valid") {
        let (outcome, _) = look(&bytes, None);
        let findings = outcome.unwrap().0;
        let ids: Vec<_> = findings.kept().iter().map(|finding| finding.id).collect();
        let no_log = ["log-entries-of-nobody", "log-version-without-log"].iter().any(|known| name.starts_with(known));
        let expected: &[&str] = match name.as_str() {
            name if name.starts_with("log-") && !no_log => &["vhdx-log-dirty"],
            name if name.starts_with("header-1-damaged") || name.starts_with("header-2") => &["vhdx-header-damaged"],
            name if name.starts_with("region-table") => &["vhdx-region-table-damaged"],
            name if name.starts_with("region-unknown") => &["vhdx-region-tables-differ", "vhdx-region-outside"],
            name if name.starts_with("entry-reserved") => &["vhdx-bat-reserved"],
            _ => &[],
        };
        let mut worse = ids.clone();
        worse.dedup();
        assert_eq!(worse, expected, "{name}: {:?}", findings.kept());
        let (outcome, mended) = look(&bytes, Some(Repair::All));
        assert!(!is_bad(&outcome.unwrap().0), "{name}");
        assert!(!is_bad(&look(&mended, None).0.unwrap().0), "{name}");
        check_repair(&name, &bytes);
    }
}

#[test]
fn damaged_images_are_found_damaged() {
    // What is wrong with these is not in the file.
    let elsewhere = ["base.", "parent-changed", "parent-denied", "parent-missing"];
    let mut count = 0;
    for (name, bytes) in shelf("malformed") {
        count += 1;
        let (outcome, _) = look(&bytes, None);
        let found = outcome.map_or(true, |(findings, _)| is_bad(&findings));
        assert_eq!(found, !elsewhere.iter().any(|known| name.starts_with(known)), "{name}");
        check_repair(&name, &bytes);
    }
    assert!(count > 60);
}

#[test]
fn hostile_images_are_looked_at_in_time() {
    for (name, bytes) in shelf("hostile") {
        check_repair(&name, &bytes);
    }
}
