//! Every qcow2 image of `testdata/` reads, or is refused, as its manifest says.

mod common;
#[path = "common/manifest.rs"]
mod manifest;

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::{hash, open};
use imgfmt_core::{FileStorage, Image, MemoryStorage, Result, Storage};
use manifest::{messages, text};
use serde_json::Value;

#[test]
fn every_image_reads_or_is_refused_as_its_manifest_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata");
    let Ok(manifest) = std::fs::read_to_string(folder.join("manifest.json")) else {
        eprintln!("skipped: there is no {}", folder.join("manifest.json").display());
        return;
    };
    let entries: Vec<Value> = serde_json::from_str(&manifest).expect("a manifest is a list");
    let entries: Vec<_> = entries.iter().filter(|entry| text(entry, "format") == Some("qcow2")).collect();
    let wrong: Vec<_> = entries.iter().filter_map(|entry| check(&folder, entry).err()).collect();
    assert!(wrong.is_empty(), "{} of {} images:\n{}", wrong.len(), entries.len(), wrong.join("\n"));
    assert!(!entries.is_empty(), "the manifest has no qcow2 images");
}

/// Compares one image with its entry; an error says how they differ.
fn check(folder: &Path, entry: &Value) -> Result<(), String> {
    let name = text(entry, "path").ok_or("an entry has no path")?;
    let say = |what: String| format!("  {name}: {what}");
    let path = folder.join(name);
    let got = read(&path, entry).map_err(|e| (e.kind().name(), messages(&e)));
    match (text(entry, "outcome"), got) {
        (Some("content"), Ok(got)) => {
            let expected = (entry["guest_size"].as_u64().unwrap_or(0), text(entry, "guest_sha256").unwrap_or(""));
            if (got.0, got.1.as_str()) == expected { Ok(()) } else { Err(say(format!("{got:?} is not {expected:?}"))) }
        }
        (Some("refused"), Err((kind, message))) => {
            let error = &entry["error"];
            let mentions = error["mentions"].as_array().cloned().unwrap_or_default();
            let all_there = mentions.iter().filter_map(Value::as_str).all(|word| message.contains(word));
            if text(error, "kind") == Some(kind) && all_there {
                return Ok(());
            }
            Err(say(format!("{kind}: {message} is not {error}")))
        }
        (outcome, got) => Err(say(format!("{got:?} is not {outcome:?}"))),
    }
}

/// Opens an image and reads all of it: its size and its hash.
fn read(path: &Path, entry: &Value) -> Result<(u64, String)> {
    let beside = entry["needs_gate"].as_bool().unwrap_or(false).then_some(path);
    let image = open(storage(path, entry)?, path, beside)?;
    Ok((image.size(), hash(&image)?))
}

/// The file of an entry, unpacked where it is packed.
fn storage(path: &Path, entry: &Value) -> Result<Arc<dyn Storage>> {
    if text(entry, "packed").is_none() {
        return Ok(Arc::new(FileStorage::open(path)?));
    }
    let mut bytes = Vec::new();
    let unpacked = std::fs::File::open(path)
        .and_then(|file| flate2::read::GzDecoder::new(file).read_to_end(&mut bytes))
        .map_err(|e| imgfmt_core::Error::io(format!("cannot unpack {}", PathBuf::from(path).display()), e))?;
    debug_assert_eq!(unpacked, bytes.len());
    Ok(Arc::new(MemoryStorage::new(bytes)))
}
