//! What `info --output=json` prints: the object of one image.

use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use imgfmt::{ImageFile, ImageInfo};
use serde_json::{Map, Value, json};

use super::formats::{HOST_DEVICE, RAW, name_here, tells_of_clusters};
use crate::render::info_json::SNAPSHOTS;

/// The object that describes an image.
pub(crate) fn object(info: &ImageInfo) -> Value {
    let description = &info.description;
    let mut object = Map::new();
    let mut put = |key: &str, value: Value| object.insert(key.to_owned(), value);
    put("children", info.files.iter().rev().map(|file| child(info, file)).collect());
    if let Some(snapshots) = snapshots(info) {
        put(SNAPSHOTS, snapshots.iter().map(snapshot).collect());
    }
    if let Some(parent) = &description.parent {
        put("backing-filename", path(&parent.name));
        info.backing_path.as_deref().map(|full| put("full-backing-filename", path(full)));
        parent.format.as_deref().map(|format| put("backing-filename-format", name_here(format).into()));
    }
    put("virtual-size", virtual_size(info).into());
    put("filename", path(info.path()));
    let tells_of_clusters = tells_of_clusters(description.format);
    description.cluster_size.filter(|_| tells_of_clusters).map(|size| put("cluster-size", size.into()));
    put("format", name_here(description.format).into());
    info.actual_size().map(|size| put("actual-size", size.into()));
    description.encrypted.then(|| put("encrypted", true.into()));
    if let Some(specific) = specific(info) {
        put("format-specific", json!({"type": name_here(description.format), "data": specific}));
    }
    let is_raw_export =
        description.format == RAW && info.files.first().is_some_and(|file| file.protocol == Some("nbd"));
    if tells_of_clusters && !is_raw_export {
        put("dirty-flag", description.dirty.into());
    }
    object.into()
}

/// A snapshot, without what QEMU does not tell of it.
fn snapshot(snapshot: &Value) -> Value {
    let mut snapshot = snapshot.clone();
    if let Value::Object(map) = &mut snapshot {
        map.remove("virtual-size");
    }
    snapshot
}

/// The size of the disk, which QEMU counts in sectors.
pub(crate) fn virtual_size(info: &ImageInfo) -> u64 {
    info.virtual_size.checked_next_multiple_of(SECTOR_LEN).unwrap_or(info.virtual_size)
}

/// The snapshots, where there are any.
pub(crate) fn snapshots(info: &ImageInfo) -> Option<&Vec<Value>> {
    info.description.details.get(SNAPSHOTS)?.as_array().filter(|list| !list.is_empty())
}

/// What is told of the format, for the formats of which QEMU tells something.
pub(crate) fn specific(info: &ImageInfo) -> Option<Map<String, Value>> {
    let description = &info.description;
    let told = SPECIFIC.contains(&description.format) && !description.specific.is_empty();
    told.then(|| sorted(&description.specific))
}

/// The members of `map` in the order in which QEMU shows them; those that it does not have are last.
fn sorted(map: &Map<String, Value>) -> Map<String, Value> {
    let place = |key: &str| ORDER.iter().position(|known| *known == key).unwrap_or(ORDER.len());
    let mut members: Vec<_> = map.iter().map(|(key, value)| (key.clone(), sorted_within(value))).collect();
    members.sort_by_key(|(key, _)| place(key));
    members.into_iter().collect()
}

/// A value whose members are in that order, too.
fn sorted_within(value: &Value) -> Value {
    match value {
        Value::Object(map) => sorted(map).into(),
        Value::Array(list) => list.iter().map(sorted_within).collect(),
        other => other.clone(),
    }
}

/// One of the files that the image consists of.
fn child(info: &ImageInfo, file: &ImageFile) -> Value {
    let protocol = protocol(file);
    let mut told = Map::new();
    let mut put = |key: &str, value: Value| told.insert(key.to_owned(), value);
    put("children", json!([]));
    put("virtual-size", file.len.checked_next_multiple_of(SECTOR_LEN).unwrap_or(file.len).into());
    put("filename", path(&child_path(info, file)));
    put("format", protocol.into());
    file.actual_size.map(|size| put("actual-size", size.into()));
    // QEMU's driver for exports answers neither.
    if file.protocol != Some("nbd") {
        // It says `file` of devices, too.
        put("format-specific", json!({"type": file.protocol.unwrap_or("file"), "data": {}}));
        put("dirty-flag", false.into());
    }
    json!({"name": child_name(file), "info": told})
}

/// What a file is to its image.
pub(crate) fn child_name(file: &ImageFile) -> String {
    file.source.map_or_else(|| "file".to_owned(), |index| format!("extents.{index}"))
}

/// Where one of the files of an image is, by way of the path to the image.
pub(crate) fn child_path(info: &ImageInfo, file: &ImageFile) -> PathBuf {
    if file.source.is_some() { below_folder(info.path(), &file.path) } else { file.path.clone() }
}

/// The real path `path` by way of the path to `image`, where it lies below its folder.
pub(crate) fn below_folder(image: &Path, path: &Path) -> PathBuf {
    let folder = image.parent().unwrap_or(Path::new(""));
    let real = if folder.as_os_str().is_empty() { Path::new(".").canonicalize() } else { folder.canonicalize() };
    let below = real.ok().and_then(|real| Some(path.strip_prefix(real).ok()?.to_path_buf()));
    below.map_or_else(|| path.to_path_buf(), |below| folder.join(below))
}

/// The way to a file, a device, or what is neither.
pub(crate) fn protocol(file: &ImageFile) -> &'static str {
    if let Some(protocol) = file.protocol {
        return protocol;
    }
    let is_device = file.path.metadata().is_ok_and(|metadata| {
        let kind = metadata.file_type();
        kind.is_block_device() || kind.is_char_device()
    });
    if is_device { HOST_DEVICE } else { "file" }
}

/// A path as JSON can hold it: what is no UTF-8 is replaced.
fn path(path: &Path) -> Value {
    path.to_string_lossy().into()
}

/// Bytes of a sector, in which QEMU counts.
const SECTOR_LEN: u64 = 512;
/// The formats of which QEMU tells something.
const SPECIFIC: [&str; 3] = ["qcow2", "vmdk", "luks"];
/// The order in which QEMU shows what it tells.
const ORDER: [&str; 36] = [
    "compat",
    "compression-type",
    "lazy-refcounts",
    "bitmaps",
    "refcount-bits",
    "data-file",
    "data-file-raw",
    "encrypt",
    "corrupt",
    "extended-l2",
    "cid",
    "parent-cid",
    "create-type",
    "extents",
    "compressed",
    "virtual-size",
    "filename",
    "cluster-size",
    "ivgen-alg",
    "detached-header",
    "hash-alg",
    "cipher-alg",
    "uuid",
    "ivgen-hash-alg",
    "format",
    "cipher-mode",
    "slots",
    "active",
    "iters",
    "key-offset",
    "stripes",
    "payload-offset",
    "master-key-iters",
    "flags",
    "name",
    "granularity",
];
