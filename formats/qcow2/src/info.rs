//! What is to be said about an image.

use imgfmt_core::{Codec, Description};
use serde_json::{Map, Value, json};

use crate::NAME;
use crate::extensions::Extension;
use crate::header::Header;
use crate::image::Qcow2Image;
use crate::layout::{HeaderExtension, VERSION_2};

/// Gathers what the header and its lists say.
pub(crate) fn describe(image: &Qcow2Image) -> Description {
    let header = &image.header;
    Description {
        format: NAME,
        cluster_size: Some(header.cluster.len()),
        encrypted: image.encryption.is_some(),
        dirty: header.features.dirty(),
        parent: image.parent.clone(),
        features: header.features.names(&header.extensions),
        specific: specific(image),
        details: details(image),
        ..Description::default()
    }
}

/// What QEMU shows, under its names and in its order.
fn specific(image: &Qcow2Image) -> Map<String, Value> {
    let header = &image.header;
    let mut map = Map::new();
    let mut set = |name: &str, value: Value| map.insert(name.to_owned(), value);
    let old = header.version == VERSION_2;
    set("compat", json!(if old { "0.10" } else { "1.1" }));
    if let Some(extension) = data_file(header) {
        set("data-file", json!(String::from_utf8_lossy(&extension.data)));
        set("data-file-raw", json!(header.features.data_file_raw()));
    }
    set("compression-type", json!(if header.codec == Codec::Zstd { "zstd" } else { "zlib" }));
    if !old {
        set("lazy-refcounts", json!(header.features.lazy_refcounts()));
    }
    set("refcount-bits", json!(1u64 << header.refcount_order));
    if let Some(encryption) = &image.encryption {
        set("encrypt", encryption.to_json());
    }
    if !old {
        set("corrupt", json!(header.features.corrupt()));
        set("extended-l2", json!(header.features.extended_l2()));
    }
    if !image.bitmaps.is_empty() {
        set("bitmaps", image.bitmaps.iter().map(|bitmap| bitmap.to_json()).collect());
    }
    map
}

/// What QEMU does not show, or shows elsewhere.
fn details(image: &Qcow2Image) -> Map<String, Value> {
    let header = &image.header;
    let mut map = Map::new();
    let mut set = |name: &str, value: Value| map.insert(name.to_owned(), value);
    set("header-length", json!(header.header_length));
    set("l1-size", json!(header.l1_size));
    if header.version != VERSION_2 {
        set("incompatible-features", hexadecimal(header.features.incompatible));
        set("compatible-features", hexadecimal(header.features.compatible));
        set("autoclear-features", hexadecimal(header.features.autoclear));
    }
    let unknown: Vec<_> = header
        .extensions
        .unknown()
        .map(|e| {
            json!({
                "type": e.kind.to_string(), "offset": e.at, "length": e.data.len(),
            })
        })
        .collect();
    if !unknown.is_empty() {
        set("unknown-header-extensions", json!(unknown));
    }
    // Nothing follows this name: without its feature bit it means nothing.
    let named = header.extensions.find(HeaderExtension::DATA_FILE);
    if let Some(extension) = named.filter(|_| !header.features.data_file()) {
        set("ignored-data-file", json!(String::from_utf8_lossy(&extension.data)));
    }
    if header.l2.extended() {
        set("subcluster-size", json!(1u64 << header.l2.grain_bits()));
    }
    if !image.snapshots.is_empty() {
        set("snapshots", image.snapshots.iter().map(|snapshot| snapshot.to_json()).collect());
    }
    map
}

/// The extension that names the data file, where there is one.
fn data_file(header: &Header) -> Option<&Extension> {
    header.extensions.find(HeaderExtension::DATA_FILE).filter(|_| header.features.data_file())
}

/// A field of bits as text, since JSON numbers end at 53 bits.
fn hexadecimal(bits: u64) -> Value {
    json!(format!("{bits:#x}"))
}
