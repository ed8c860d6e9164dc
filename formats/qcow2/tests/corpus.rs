//! Images of other producers, outside of this repository: `IMGFMT_CORPUS` names the folder that has them
//! and their `manifest.json`. `IMGFMT_REQUIRE_CORPUS=1` makes its absence a failure.

mod common;
#[path = "common/manifest.rs"]
mod manifest;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::{hash, open};
use imgfmt_core::{ErrorKind, FileStorage, Image, Result};
use manifest::{messages, text};
use serde_json::Value;

#[test]
fn every_image_reads_to_its_known_content() {
    let Some(folder) = std::env::var_os("IMGFMT_CORPUS").map(PathBuf::from) else {
        assert!(std::env::var_os("IMGFMT_REQUIRE_CORPUS").is_none(), "IMGFMT_CORPUS is not set");
        eprintln!("skipped: IMGFMT_CORPUS does not name a folder of images");
        return;
    };
    let manifest = std::fs::read(folder.join("manifest.json")).expect("a corpus has a manifest");
    let manifest: Value = serde_json::from_slice(&manifest).expect("a manifest is JSON");
    let entries = manifest["entries"].as_array().expect("a manifest has entries");
    let entries: Vec<_> = entries.iter().filter(|entry| text(entry, "format") == Some("qcow2")).collect();
    let wrong: Vec<_> = entries.iter().filter_map(|entry| check(&folder, entry).err()).collect();
    assert!(wrong.is_empty(), "{} of {} images:\n{}", wrong.len(), entries.len(), wrong.join("\n"));
    eprintln!("{} images", entries.len());
}

/// Compares one image with its entry; an error says how they differ.
fn check(folder: &Path, entry: &Value) -> Result<(), String> {
    let name = text(entry, "name").ok_or("an entry has no name")?;
    let say = |what: String| format!("  {name}: {what}");
    match (text(entry, "guest_sha256"), read(&folder.join(name))) {
        (Some(expected), Ok((size, hash))) if hash == expected && Some(size) == entry["virtual_size"].as_u64() => {
            Ok(())
        }
        (None, Err(error)) => {
            // What cannot be read is a child whose parent is not there, and the error names the file.
            let parent = text(entry, "parent").unwrap_or("");
            let names = parent.split([' ', '/']).any(|part| part.contains('.') && messages(&error).contains(part))
                || messages(&error).contains("cirros.raw");
            let told = error.kind() == ErrorKind::Missing && names;
            if told { Ok(()) } else { Err(say(format!("{error:?} does not name {parent}"))) }
        }
        (expected, got) => Err(say(format!("{got:?} is not {expected:?}"))),
    }
}

/// Opens an image and reads all of it: its size and its hash.
fn read(path: &Path) -> Result<(u64, String)> {
    let image = open(Arc::new(FileStorage::open(path)?), path, Some(path))?;
    Ok((image.size(), hash(&image)?))
}
