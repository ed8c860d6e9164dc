//! Every vhdx image of the repository's test data gives the bytes, or the error, that its manifest says.

mod support;

use std::path::Path;

use imgfmt_core::{Error, Image, Result};
use serde_json::Value;
use sha2::{Digest, Sha256};
use support::{open, storage};

#[test]
fn every_image_is_what_its_manifest_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata");
    let Ok(manifest) = std::fs::read_to_string(folder.join("manifest.json")) else {
        println!("skipped: there is no testdata/manifest.json");
        return;
    };
    let entries: Vec<Value> = serde_json::from_str(&manifest).unwrap();
    let entries: Vec<_> = entries.iter().filter(|entry| entry["format"] == "vhdx").collect();
    let failures: Vec<_> = entries
        .iter()
        .filter_map(|entry| {
            let path = entry["path"].as_str().unwrap();
            let what = check(&folder.join(path), entry).err()?;
            Some(format!("{path}: {what} ({})", entry["case"]))
        })
        .collect();
    assert!(failures.is_empty(), "{} of {}:\n{}", failures.len(), entries.len(), failures.join("\n"));
    assert!(!entries.is_empty(), "the manifest has no vhdx images");
}

/// Compares one image with its entry.
fn check(path: &Path, entry: &Value) -> Result<(), String> {
    match (entry["outcome"].as_str(), read_all(path, entry["needs_gate"] == true)) {
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

/// Reads an image from its first byte to its last: its size and its hash.
fn read_all(path: &Path, with_gate: bool) -> Result<(u64, String)> {
    let disk = open(storage(path)?, path, with_gate)?;
    Ok((disk.size(), hash(&disk)?))
}

/// Reads the whole disk and returns its SHA-256 in hexadecimal.
fn hash(disk: &dyn Image) -> Result<String> {
    let mut hasher = Sha256::new();
    let mut bytes = vec![0; 1 << 20];
    let mut next = 0;
    while next < disk.size() {
        let len = usize::try_from(disk.size() - next).map_or(bytes.len(), |rest| rest.min(bytes.len()));
        disk.read_at(&mut bytes[..len], next)?;
        hasher.update(&bytes[..len]);
        next += len as u64;
    }
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// An error as a person would see it.
fn chain_of(error: &Error) -> String {
    let mut text = error.to_string();
    let mut level: &dyn std::error::Error = error;
    while let Some(below) = level.source() {
        text = format!("{text}: {below}");
        level = below;
    }
    text
}
