//! Every raw image of `testdata/` reads as its manifest says.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use imgfmt_core::conformance::read_all;
use imgfmt_core::{Beneath, FileStorage, Format, Limits, OpenContext};
use imgfmt_raw::Raw;
use serde_json::Value;
use sha2::{Digest, Sha256};

#[test]
fn every_image_is_what_its_manifest_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata");
    let Ok(manifest) = std::fs::read_to_string(folder.join("manifest.json")) else {
        println!("skipped: there is no testdata/manifest.json");
        return;
    };
    let entries: Vec<Value> = serde_json::from_str(&manifest).unwrap();
    let mut seen = 0;
    for entry in entries.iter().filter(|entry| entry["format"] == "raw") {
        seen += 1;
        let path = folder.join(entry["path"].as_str().unwrap());
        let (mut gate, limits) = (Beneath::new(), Limits::default());
        gate.allow_beside(&path).unwrap();
        let context = OpenContext { path: Some(&path), ..OpenContext::new(&limits, &gate) };
        match (Raw.open(Arc::new(FileStorage::open(&path).unwrap()), &context), entry["outcome"].as_str()) {
            (Ok(opened), Some("content")) => {
                let bytes = read_all(opened.image.as_ref());
                assert_eq!(entry["guest_size"], bytes.len() as u64, "{}", path.display());
                assert_eq!(entry["guest_sha256"], hex(&Sha256::digest(&bytes)), "{}", path.display());
            }
            (Err(error), Some("refused")) => {
                assert_eq!(entry["error"]["kind"], error.kind().name(), "{}: {error}", path.display());
            }
            (Err(error), _) => panic!("{}: {error}", path.display()),
            (Ok(_), _) => panic!("{} opens", path.display()),
        }
    }
    assert!(seen > 0, "the manifest has no raw images");
}

/// Bytes as hexadecimal digits.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
