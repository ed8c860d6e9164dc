//! Every Qcow image of the repository's test data gives the bytes, or the error, that its manifest says.

mod support;

use std::fmt::Write as _;
use std::path::Path;

use imgfmt_core::{Error, Image};
use serde_json::Value;
use support::{hash, open};

#[test]
fn every_image_is_what_its_manifest_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata");
    let Ok(manifest) = std::fs::read_to_string(folder.join("manifest.json")) else {
        println!("skipped: there is no testdata/manifest.json");
        return;
    };
    let entries: Vec<Value> = serde_json::from_str(&manifest).unwrap();
    let mut failures = Vec::new();
    let mut seen = 0;
    for entry in entries.iter().filter(|entry| entry["format"] == "qcow") {
        let path = entry["path"].as_str().unwrap();
        seen += 1;
        if let Err(what) = check(&folder.join(path), entry) {
            failures.push(format!("{path}: {what} ({})", entry["case"]));
        }
    }
    assert!(seen > 0 && failures.is_empty(), "{} of {seen}:\n{}", failures.len(), failures.join("\n"));
}

/// Compares one image with its entry.
fn check(path: &Path, entry: &Value) -> Result<(), String> {
    let disk = open(path, entry["needs_gate"] == true);
    let result = disk.and_then(|disk| Ok((disk.size(), hash(&disk)?)));
    match (entry["outcome"].as_str(), result) {
        (Some("content"), Ok((size, hash))) if entry["guest_size"] == size && entry["guest_sha256"] == hash => Ok(()),
        (Some("refused"), Err(error)) => {
            let text = chain_of(&error);
            let mentions = entry["error"]["mentions"].as_array().map_or(&[][..], Vec::as_slice);
            let missing = mentions.iter().filter_map(Value::as_str).find(|mention| !text.contains(mention));
            match missing {
                None if entry["error"]["kind"] == error.kind().name() => Ok(()),
                _ => Err(format!("refused as {}, {text}", error.kind().name())),
            }
        }
        (_, Ok((size, hash))) => Err(format!("gives {size} bytes, {hash}")),
        (_, Err(error)) => Err(chain_of(&error)),
    }
}

/// An error as a person would see it.
fn chain_of(error: &Error) -> String {
    let mut text = error.to_string();
    let mut level: &dyn std::error::Error = error;
    while let Some(below) = level.source() {
        let _ = write!(text, ": {below}");
        level = below;
    }
    text
}
