//! `imgfmt info --output json`: the names and types of `qemu-img info --output json`, and more.

use imgfmt::{ByteCounts, Contents, ImageFile, ImageInfo, Member};
use serde_json::{Map, Value, json};

/// The object that describes one layer.
pub(crate) fn object(info: &ImageInfo) -> Value {
    let description = &info.description;
    let mut details = description.details.clone();
    let snapshots = details.remove(SNAPSHOTS).filter(|list| list.as_array().is_some_and(|list| !list.is_empty()));
    let mut object = Map::new();
    let mut put = |key: &str, value: Value| object.insert(key.to_owned(), value);
    put("filename", path(info.path()));
    put("format", description.format.into());
    put("virtual-size", info.virtual_size.into());
    info.actual_size().map(|size| put("actual-size", size.into()));
    put("dirty-flag", description.dirty.into());
    description.cluster_size.map(|size| put("cluster-size", size.into()));
    description.encrypted.then(|| put("encrypted", true.into()));
    description.compressed.then(|| put("compressed", true.into()));
    if let Some(parent) = &description.parent {
        put("backing-filename", path(&parent.name));
        info.backing_path.as_deref().map(|full| put("full-backing-filename", path(full)));
        parent.format.as_deref().map(|format| put("backing-filename-format", format.into()));
    }
    snapshots.map(|snapshots| put(SNAPSHOTS, snapshots));
    if !description.specific.is_empty() {
        put("format-specific", json!({"type": description.format, "data": description.specific}));
    }
    put("children", info.files.iter().rev().map(child).collect());
    description.subformat.as_deref().map(|subformat| put("subformat", subformat.into()));
    description.creator.as_deref().map(|creator| put("creator", creator.into()));
    put("features", description.features.clone().into());
    match &info.counts {
        Some(Ok(counts)) => put("bytes", bytes(counts)),
        Some(Err(error)) => put("bytes-error", crate::failure::chain(error).into()),
        None => None,
    };
    put("details", details.into());
    if !info.wrappers.is_empty() {
        put("wrappers", info.wrappers.iter().map(wrapper).collect());
    }
    object.into()
}

/// Something that was taken off before the image showed, and what it holds.
fn wrapper((name, contents): &(&'static str, Contents)) -> Value {
    let member = |member: &Member| {
        let Member { name, len, capacity, format } = member;
        json!({"name": name, "length": len, "virtual-size": capacity, "format": format})
    };
    json!({
        "type": name,
        "members": contents.members.iter().map(member).collect::<Vec<_>>(),
        "details": contents.details,
    })
}

/// Guest bytes by kind.
fn bytes(counts: &ByteCounts) -> Value {
    json!({
        "allocated": counts.allocated(),
        "data": counts.data,
        "compressed": counts.compressed,
        "compressed-stored": counts.compressed_stored,
        "zero": counts.zero,
        "absent": counts.absent,
        "backing": counts.parent,
        "opaque": counts.opaque,
    })
}

/// One of the files that the image consists of.
fn child(file: &ImageFile) -> Value {
    let name = file.source.map_or_else(|| "file".to_owned(), |index| format!("extents.{index}"));
    let protocol = file.protocol.unwrap_or("file");
    let mut told = Map::new();
    let mut put = |key: &str, value: Value| told.insert(key.to_owned(), value);
    put("filename", path(&file.path));
    put("format", protocol.into());
    put("virtual-size", file.len.next_multiple_of(SECTOR_LEN).into());
    file.actual_size.map(|size| put("actual-size", size.into()));
    put("dirty-flag", false.into());
    put("format-specific", json!({"type": protocol, "data": {}}));
    put("children", json!([]));
    json!({"name": name, "info": told})
}

/// A path as JSON can hold it: what is no UTF-8 is replaced.
fn path(path: &std::path::Path) -> Value {
    path.to_string_lossy().into()
}

/// Where a format puts its snapshots, and where they are shown.
pub(crate) const SNAPSHOTS: &str = "snapshots";
/// Bytes of a sector, in which QEMU counts.
const SECTOR_LEN: u64 = 512;
