//! Every compressed file of the repository's test data gives the bytes, or the error, that its manifest says.

use std::path::Path;
use std::sync::Arc;

use imgfmt_compressed::{Bzip2, Gzip, Xz, Zstd};
use imgfmt_core::{DenyAll, Error, FileStorage, Head, Limits, OpenContext, Result, Storage, Wrapper};
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
    for entry in entries.iter().filter(|entry| entry["format"] == "compressed") {
        let path = entry["path"].as_str().unwrap();
        seen += 1;
        if let Err(what) = check(read_all(&folder.join(path)), entry) {
            failures.push(format!("{path}: {what} ({})", entry["case"]));
        }
    }
    assert!(seen > 0 && failures.is_empty(), "{} of {seen}:\n{}", failures.len(), failures.join("\n"));
}

/// The length and the hash of what the file at `path` holds.
fn read_all(path: &Path) -> Result<(u64, String)> {
    let file: Arc<dyn Storage> = Arc::new(FileStorage::open(path)?);
    let head = Head::read(file.as_ref())?;
    let wrappers: [&dyn Wrapper; 4] = [&Gzip, &Xz, &Zstd, &Bzip2];
    let mut claims = wrappers.into_iter().filter(|wrapper| wrapper.probe(&head).is_ok_and(|reason| reason.is_some()));
    let (Some(wrapper), None) = (claims.next(), claims.next()) else {
        return Err(Error::unsupported("it is not of one kind"));
    };
    let folder = std::env::temp_dir();
    let limits = Limits::default();
    let context = OpenContext { path: Some(path), spool: Some(&folder), ..OpenContext::new(&limits, &DenyAll) };
    wrapper.contents(&file, &context)?;
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
