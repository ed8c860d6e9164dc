//! What is said about a disk.

use imgfmt_core::{Description, ParentName};
use serde_json::{Map, Value, json};

use crate::NAME;
use crate::header::Header;

/// Says what there is to be said of an image that builds on `parent`.
pub(crate) fn describe(header: &Header, parent: Option<ParentName>) -> Description {
    Description {
        format: NAME,
        subformat: None,
        cluster_size: Some(header.cluster_len()),
        encrypted: header.encrypted,
        details: details(header, parent.is_some()),
        parent,
        ..Description::default()
    }
}

/// What there is besides.
fn details(header: &Header, has_parent: bool) -> Map<String, Value> {
    let mut map = Map::new();
    let mut put = |key: &str, value: Value| map.insert(key.to_owned(), value);
    put("version", json!(1));
    put("l1-table-offset", json!(header.l1_table_offset));
    put("l1-entries", json!(header.l1_entries()));
    put("l2-table-size", json!(header.l2_len()));
    put("crypt-method", json!(if header.encrypted { "aes" } else { "none" }));
    if has_parent {
        put("backing-file-mtime", json!(header.mtime));
    }
    map
}
