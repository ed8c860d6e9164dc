//! What is said about a disk.

use imgfmt_core::Description;
use serde_json::{Map, Value, json};

use crate::NAME;
use crate::header::Header;

/// Says what there is to be said.
pub(crate) fn describe(header: &Header) -> Description {
    Description {
        format: NAME,
        cluster_size: Some(header.cluster_len()),
        dirty: header.is_open(),
        details: details(header),
        ..Description::default()
    }
}

/// What there is besides.
fn details(header: &Header) -> Map<String, Value> {
    let mut map = Map::new();
    let mut put = |key: &str, value: Value| map.insert(key.to_owned(), value);
    put("magic", json!(if header.is_old { "WithoutFreeSpace" } else { "WithouFreSpacExt" }));
    put("data-offset", json!(header.data_start()));
    put("flags", json!(header.flags));
    if header.extension != 0 {
        put("format-extension", json!(true));
    }
    map
}
