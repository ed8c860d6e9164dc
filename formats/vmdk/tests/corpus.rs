//! Images of other producers give the bytes that their manifest says. They are not in the repository:
//! `IMGFMT_CORPUS` names the folder, and `IMGFMT_REQUIRE_CORPUS=1` makes their absence a failure.

mod support;

use std::path::{Path, PathBuf};

use imgfmt_core::ErrorKind;
use serde_json::Value;
use support::{chain_of, read_all};

#[test]
fn images_of_other_producers_give_their_bytes() {
    let Some(folder) = std::env::var_os("IMGFMT_CORPUS").map(PathBuf::from) else {
        assert!(std::env::var_os("IMGFMT_REQUIRE_CORPUS").is_none(), "IMGFMT_CORPUS is not set");
        println!("skipped: IMGFMT_CORPUS does not name a folder of images");
        return;
    };
    let manifest = std::fs::read_to_string(folder.join("manifest.json")).unwrap();
    let manifest: Value = serde_json::from_str(&manifest).unwrap();
    let entries = manifest["entries"].as_array().unwrap();
    let mut failures = Vec::new();
    let mut seen = 0;
    for entry in entries.iter().filter(|entry| entry["format"] == "vmdk") {
        let name = entry["name"].as_str().unwrap();
        seen += 1;
        match check(&folder.join(name), entry) {
            Ok(outcome) => println!("{name}: {outcome}"),
            Err(outcome) => failures.push(format!("{name}: {outcome}")),
        }
    }
    assert!(seen > 0 && failures.is_empty(), "{} of {seen}:\n{}", failures.len(), failures.join("\n"));
}

/// Compares one image with its entry: one without a hash is refused, and so may be one that lacks its parent.
fn check(path: &Path, entry: &Value) -> Result<String, String> {
    let result = read_all(path, true);
    let outcome = match &result {
        Ok((size, hash)) => format!("{size} bytes, {hash}"),
        Err(error) => format!("{}, {}", error.kind().name(), chain_of(error)),
    };
    match (entry["guest_sha256"].as_str(), result) {
        (Some(wanted), Ok((_, hash))) if wanted == hash => Ok(outcome),
        (Some(_), Err(error)) if entry["parent"].is_string() && error.kind() == ErrorKind::Missing => Ok(outcome),
        (None, Err(_)) => Ok(outcome),
        _ => Err(outcome),
    }
}
