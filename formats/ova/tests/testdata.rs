//! Every appliance and archive of the repository's test data gives the bytes, or the error, that its manifest says.

use std::path::Path;
use std::sync::Arc;

use imgfmt_core::{Beneath, DenyAll, Error, FileStorage, Gate, Head, Limits, OpenContext, Result, Storage, Wrapper};
use imgfmt_ova::{Ova, Tar};
use serde_json::Value;
use sha2::{Digest, Sha256};

#[test]
fn every_file_is_what_its_manifest_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata");
    let Ok(manifest) = std::fs::read_to_string(folder.join("manifest.json")) else {
        println!("skipped: there is no testdata/manifest.json");
        return;
    };
    let entries: Vec<Value> = serde_json::from_str(&manifest).unwrap();
    let mut failures = Vec::new();
    let mut seen = 0;
    for entry in entries.iter().filter(|entry| entry["format"] == "ova") {
        let path = entry["path"].as_str().unwrap();
        seen += 1;
        if let Err(what) = check(read_all(&folder.join(path), entry["needs_gate"] == true), entry) {
            failures.push(format!("{path}: {what} ({})", entry["case"]));
        }
    }
    assert!(seen > 0 && failures.is_empty(), "{} of {seen}:\n{}", failures.len(), failures.join("\n"));
}

/// The length and the hash of the only disk that the file at `path` holds. It may open what lies beside it where
/// `with_gate` says so.
fn read_all(path: &Path, with_gate: bool) -> Result<(u64, String)> {
    let file: Arc<dyn Storage> = Arc::new(FileStorage::open(path)?);
    let head = Head::read(file.as_ref())?;
    let wrappers: [&dyn Wrapper; 2] = [&Ova, &Tar];
    let mut claims = wrappers.into_iter().filter(|wrapper| wrapper.probe(&head).is_ok_and(|reason| reason.is_some()));
    let (Some(wrapper), None) = (claims.next(), claims.next()) else {
        return Err(Error::unsupported("it is not of one kind"));
    };
    let mut beneath = Beneath::new();
    beneath.allow_beside(path)?;
    let gate: &dyn Gate = if with_gate { &beneath } else { &DenyAll };
    let limits = Limits::default();
    let context = OpenContext { path: Some(path), ..OpenContext::new(&limits, gate) };
    let members = wrapper.contents(&file, &context)?.members;
    if members.len() != 1 {
        return Err(Error::unsupported(format!("it holds {} disks", members.len())));
    }
    let opened = wrapper.open(&file, 0, &context)?;
    let mut hash = Sha256::new();
    let mut bytes = vec![0; 1 << 20];
    let mut next = 0;
    while next < opened.len() {
        let len = usize::try_from(opened.len() - next).map_or(bytes.len(), |rest| rest.min(bytes.len()));
        opened.read_at(&mut bytes[..len], next)?;
        hash.update(&bytes[..len]);
        next += len as u64;
    }
    Ok((opened.len(), hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()))
}

/// Compares what a file gives with its entry.
fn check(result: Result<(u64, String)>, entry: &Value) -> Result<(), String> {
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
        text = format!("{text}: {below}");
        level = below;
    }
    text
}
