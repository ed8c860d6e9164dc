//! Every qcow2 image of `testdata/` reads, or is refused, as its manifest says.

mod common;
#[path = "common/manifest.rs"]
mod manifest;

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::{hash, open, open_layers};
use imgfmt_core::{
    DenyAll, ErrorKind, FileStorage, Format, Image, Limits, MemoryStorage, OpenContext, Options, Result, Secrets,
    Storage,
};
use imgfmt_qcow2::Qcow2;
use manifest::{messages, text};
use serde_json::{Value, json};

#[test]
fn every_image_reads_or_is_refused_as_its_manifest_says() {
    let (folder, entries) = (folder(), entries());
    let wrong: Vec<_> = entries.iter().filter_map(|entry| check(&folder, entry).err()).collect();
    assert!(wrong.is_empty(), "{} of {} images:\n{}", wrong.len(), entries.len(), wrong.join("\n"));
    assert!(!entries.is_empty(), "the manifest has no qcow2 images");
}

#[test]
fn every_snapshot_reads_as_its_manifest_says() {
    let mut seen = 0;
    for entry in entries() {
        let Some(snapshots) = entry["snapshots"].as_object() else { continue };
        for (name, facts) in snapshots {
            let path = folder().join(text(&entry, "path").unwrap());
            let layers = open_layers(storage(&path, &entry).unwrap(), &path, None, Some(name)).unwrap();
            let image = layers[0].image.as_ref();
            assert_eq!(Some(image.size()), facts["guest_size"].as_u64(), "{}: {name}", path.display());
            assert_eq!(Some(hash(image).unwrap().as_str()), text(facts, "guest_sha256"), "{}: {name}", path.display());
            assert!(layers[0].bitmaps.is_empty(), "bitmaps are of the active state");
            seen += 1;
        }
        let path = folder().join(text(&entry, "path").unwrap());
        let error = open_layers(storage(&path, &entry).unwrap(), &path, None, Some("gone")).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        let known = snapshots.keys().filter(|name| name.parse::<u32>().is_err());
        assert!(known.into_iter().all(|name| messages(&error).contains(name)), "{}", messages(&error));
    }
    assert!(seen > 3, "the manifest has {seen} snapshots");
}

#[test]
fn every_bitmap_is_as_its_manifest_says() {
    let mut seen = 0;
    for entry in entries() {
        let Some(expected) = entry["bitmaps"].as_object() else { continue };
        let path = folder().join(text(&entry, "path").unwrap());
        let layers = open_layers(storage(&path, &entry).unwrap(), &path, None, None).unwrap();
        let names: Vec<_> = layers[0].bitmaps.iter().map(|bitmap| bitmap.info().name.clone()).collect();
        assert_eq!(names.len(), expected.len(), "{}: {names:?}", path.display());
        for bitmap in &layers[0].bitmaps {
            let info = bitmap.info();
            let facts = &expected[&info.name];
            assert_eq!(Some(info.granularity), facts["granularity"].as_u64(), "{}", info.name);
            assert_eq!(
                (json!(info.enabled), json!(info.inconsistent)),
                (facts["enabled"].clone(), facts["inconsistent"].clone())
            );
            let mut dirty = Vec::new();
            let visited = bitmap.visit_dirty(&mut |run| {
                dirty.push(json!([run.start, run.end]));
                Ok(())
            });
            match text(facts, "error") {
                Some(kind) => assert_eq!(visited.unwrap_err().kind().name(), kind, "{}", info.name),
                None => {
                    assert_eq!((visited.unwrap(), Value::Array(dirty)), ((), facts["dirty"].clone()), "{}", info.name)
                }
            }
            seen += 1;
        }
    }
    assert!(seen > 3, "the manifest has {seen} bitmaps");
}

/// The folder of the images.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata")
}

/// The entries of qcow2 images.
fn entries() -> Vec<Value> {
    let manifest = std::fs::read_to_string(folder().join("manifest.json")).expect("there is a manifest");
    let entries: Vec<Value> = serde_json::from_str(&manifest).expect("a manifest is a list");
    entries.into_iter().filter(|entry| text(entry, "format") == Some("qcow2")).collect()
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
    if let Some(secret) = text(entry, "secret") {
        let image = open_with_secret(storage(path, entry)?, secret)?;
        return Ok((image.size(), hash(image.as_ref())?));
    }
    let image = open(storage(path, entry)?, path, beside)?;
    Ok((image.size(), hash(&image)?))
}

/// Opens an encrypted image.
fn open_with_secret(storage: Arc<dyn Storage>, secret: &str) -> Result<Box<dyn Image>> {
    let (mut options, mut secrets, limits) = (Options::new(), Secrets::new(), Limits::default());
    options.set("encrypt.key-secret", "sec0");
    secrets.add("sec0", secret);
    let context = OpenContext { options: &options, secrets: &secrets, ..OpenContext::new(&limits, &DenyAll) };
    Ok(Qcow2.open(storage, &context)?.image)
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
