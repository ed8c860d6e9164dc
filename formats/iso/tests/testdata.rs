//! Every disc of `testdata/` is claimed, and reads or is refused as its manifest says.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use imgfmt_core::conformance::read_all;
use imgfmt_core::{DenyAll, FileStorage, Format, Limits, Opener, Result};
use imgfmt_iso::Iso;
use serde_json::Value;
use sha2::{Digest, Sha256};

#[test]
fn every_disc_is_what_its_manifest_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata");
    let Ok(manifest) = std::fs::read_to_string(folder.join("manifest.json")) else {
        println!("skipped: there is no testdata/manifest.json");
        return;
    };
    let entries: Vec<Value> = serde_json::from_str(&manifest).unwrap();
    let mut seen = 0;
    for entry in entries.iter().filter(|entry| entry["format"] == "iso") {
        seen += 1;
        let path = folder.join(entry["path"].as_str().unwrap());
        match (read(&path), entry["outcome"].as_str()) {
            (Ok((size, hash)), Some("content")) => {
                assert_eq!((&entry["guest_size"], &entry["guest_sha256"]), (&size.into(), &hash.into()), "{entry}");
            }
            (Err(error), Some("refused")) => {
                assert_eq!(entry["error"]["kind"], error.kind().name(), "{entry}: {error}");
                let mentions = entry["error"]["mentions"].as_array().unwrap();
                let text = error.to_string();
                assert!(mentions.iter().all(|word| text.contains(word.as_str().unwrap())), "{entry}: {text}");
            }
            (read, _) => panic!("{entry}: {read:?}"),
        }
    }
    assert!(seen > 0, "the manifest has no discs");
}

/// The size and the hash of the disc at `path`, whose format is not named.
fn read(path: &Path) -> Result<(u64, String)> {
    let (formats, limits): ([&dyn Format; 1], _) = ([&Iso], Limits::default());
    let disc = Opener::new(&formats, &DenyAll, &limits).open(Arc::new(FileStorage::open(path)?), Some(path), None)?;
    let bytes = read_all(&disc);
    let hash = Sha256::digest(&bytes).iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    });
    Ok((bytes.len() as u64, hash))
}
