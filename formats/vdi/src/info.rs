//! What is said about a disk.

use imgfmt_core::{Description, Identity};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::NAME;
use crate::header::{Header, ImageType};

/// Says what there is to be said.
pub(crate) fn describe(header: &Header) -> Description {
    Description {
        format: NAME,
        subformat: Some(header.kind.name().to_owned()),
        cluster_size: Some(header.block_len),
        identities: Some(header.create).filter(|id| !id.is_nil()).map(identity).into_iter().collect(),
        creator: creator(header),
        details: details(header),
        ..Description::default()
    }
}

/// A `uuidCreate` as something to be known by.
pub(crate) fn identity(id: Uuid) -> Identity {
    Identity { kind: "uuid", value: id.to_string() }
}

/// The text in front, without what frames it in every image: `<<< Oracle VM VirtualBox Disk Image >>>`.
fn creator(header: &Header) -> Option<String> {
    let text = text(&header.file_info);
    let text = text.trim().trim_start_matches("<<<").trim_end_matches(">>>").trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// What there is besides.
fn details(header: &Header) -> Map<String, Value> {
    let mut map = Map::new();
    let mut put = |key: &str, value: Value| map.insert(key.to_owned(), value);
    // Under the name of the option of a new image that is like this one.
    put("static", json!(header.kind == ImageType::Fixed));
    put("uuid", json!(header.create.to_string()));
    put("modification-uuid", json!(header.modify.to_string()));
    if header.kind == ImageType::Differencing {
        put("parent-uuid", json!(header.linkage.to_string()));
        put("parent-modification-uuid", json!(header.parent_modify.to_string()));
    }
    let comment = text(&header.comment);
    if !comment.is_empty() {
        put("comment", json!(comment));
    }
    put("flags", json!(header.flags));
    put("header-length", json!(header.header_len));
    put("map-offset", json!(header.map_offset));
    put("data-offset", json!(header.data_offset));
    put("block-extra", json!(header.block_extra));
    put("blocks", json!(header.blocks));
    put("allocated-blocks", json!(header.allocated));
    map
}

/// Text up to a 0.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes.split(|&byte| byte == 0).next().unwrap_or_default()).into_owned()
}
