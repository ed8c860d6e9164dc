//! `imgfmt map`: runs of guest bytes, as text and as JSON, one at a time.

use imgfmt::MapEntry;
use serde_json::{Map, Value};

/// Prints entries as they come.
pub(crate) struct Printer {
    /// Whether for programs.
    json: bool,
    /// Whether nothing has been printed yet.
    first: bool,
}

impl Printer {
    /// A printer for programs, or for people.
    pub(crate) fn new(json: bool) -> Self {
        Self { json, first: true }
    }

    /// The line of one entry, and what comes before it.
    pub(crate) fn entry(&mut self, entry: &MapEntry<'_>) -> String {
        let first = std::mem::replace(&mut self.first, false);
        if self.json {
            return format!("{}{}", if first { "[" } else { ",\n" }, object(entry));
        }
        let head = if first { HEAD } else { "" };
        let what = match entry {
            MapEntry { zero: true, present: false, .. } => "absent",
            MapEntry { zero: true, .. } => "zero",
            MapEntry { compressed: true, .. } => "compressed",
            _ => "data",
        };
        let host = entry.offset.map_or_else(String::new, |offset| format!("{offset:#x}"));
        format!("{head}{:<#18x} {:<#18x} {:<11} {:>5} {host}\n", entry.start, entry.length, what, entry.depth)
    }

    /// What comes after the last entry.
    pub(crate) fn end(&self) -> String {
        match (self.json, self.first) {
            (true, true) => "[]\n".to_owned(),
            (true, false) => "]\n".to_owned(),
            (false, true) => HEAD.to_owned(),
            (false, false) => String::new(),
        }
    }
}

/// An entry as an object, with the names that `qemu-img map --output json` has.
fn object(entry: &MapEntry<'_>) -> Value {
    let mut object = Map::new();
    let mut put = |key: &str, value: Value| object.insert(key.to_owned(), value);
    put("start", entry.start.into());
    put("length", entry.length.into());
    put("depth", entry.depth.into());
    put("present", entry.present.into());
    put("zero", entry.zero.into());
    put("data", entry.data.into());
    put("compressed", entry.compressed.into());
    entry.offset.map(|offset| put("offset", offset.into()));
    object.into()
}

/// The heading for people.
const HEAD: &str = "GUEST              LENGTH             KIND        LAYER HOST\n";
