//! Images that were written, for programs.

use std::ops::Range;
use std::path::Path;

use imgfmt::convert::Lost;
use imgfmt::{ConvertSummary, HashValue, ParentName};
use serde_json::{Map, Value, json};

/// The image at `path`, in `format`, that `summary` is about. What was not asked for is not in it.
pub(crate) fn json(path: &Path, format: &str, summary: &ConvertSummary) -> Map<String, Value> {
    let mut object = new(path, format, summary.size, None);
    let mut put = |key: &str, value: Value| object.insert(key.to_owned(), value);
    put("stored", summary.stored.into());
    if !summary.hashes.is_empty() {
        put("hashes", hashes(&summary.hashes));
    }
    summary.spooled.as_ref().map(|reason| put("spooled", reason.as_str().into()));
    object
}

/// An image of `size` guest bytes at `path`, and what it builds on.
pub(crate) fn new(path: &Path, format: &str, size: u64, backing: Option<&ParentName>) -> Map<String, Value> {
    let mut object = Map::new();
    let mut put = |key: &str, value: Value| object.insert(key.to_owned(), value);
    put("filename", name(path));
    put("format", format.into());
    put("virtual-size", size.into());
    object.extend(builds_on(backing));
    object
}

/// What an image builds on, if it does.
pub(crate) fn builds_on(backing: Option<&ParentName>) -> Map<String, Value> {
    let mut object = Map::new();
    if let Some(backing) = backing {
        object.insert("backing-filename".to_owned(), name(&backing.name));
        let format = backing.format.as_ref();
        format.map(|format| object.insert("backing-filename-format".to_owned(), format.as_str().into()));
    }
    object
}

/// Hashes by the names of their algorithms.
pub(crate) fn hashes(values: &[HashValue]) -> Value {
    values
        .iter()
        .map(|value| (value.algorithm.name().to_owned(), Value::from(value.hex())))
        .collect::<Map<_, _>>()
        .into()
}

/// What could not be read.
pub(crate) fn lost(lost: &Lost) -> Value {
    let range = |range: &Range<u64>| json!({ "start": range.start, "length": range.end - range.start });
    let ranges: Vec<_> = lost.ranges.iter().map(range).collect();
    json!({ "bytes": lost.bytes, "exact": lost.is_exact(), "ranges": ranges })
}

/// A file's name.
pub(crate) fn name(path: &Path) -> Value {
    path.display().to_string().into()
}
