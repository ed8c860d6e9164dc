//! What is to be said about an image.

use imgfmt_core::{Description, Identity, ParentName};
use serde_json::{Map, Value, json};

use crate::NAME;
use crate::image::VhdxImage;
use crate::layout::DATA_WRITE_GUID;

/// Gathers what the structures say.
pub(crate) fn describe(image: &VhdxImage) -> Description {
    let metadata = &image.metadata;
    let data_write_guid = image.header.header.data_write_guid.to_string();
    let mut identities = vec![Identity { kind: DATA_WRITE_GUID, value: data_write_guid }];
    identities.extend(metadata.disk_id.map(|id| Identity { kind: "VirtualDiskId", value: id.to_string() }));
    Description {
        format: NAME,
        subformat: Some(subformat(image).to_owned()),
        cluster_size: Some(metadata.block_len),
        dirty: image.replay.is_some(),
        parent: image
            .parent
            .as_ref()
            .and_then(|parent| Some(ParentName { name: parent.names.first()?.clone(), format: parent.format.clone() })),
        identities,
        features: features(image),
        creator: Some(image.creator.clone()).filter(|creator| !creator.is_empty()),
        details: details(image),
        ..Description::default()
    }
}

/// Which of the three kinds of disk it is.
fn subformat(image: &VhdxImage) -> &'static str {
    match (image.metadata.parent.is_some(), image.metadata.leave_blocks_allocated) {
        (true, _) => "differencing",
        (false, true) => "fixed",
        (false, false) => "dynamic",
    }
}

/// Flags that are set, and a log that is not empty.
fn features(image: &VhdxImage) -> Vec<String> {
    let all = [
        (image.metadata.leave_blocks_allocated, "LeaveBlocksAllocated"),
        (image.metadata.parent.is_some(), "HasParent"),
        (image.replay.is_some(), "log"),
    ];
    all.iter().filter(|(set, _)| *set).map(|(_, name)| (*name).to_owned()).collect()
}

/// What QEMU does not show, which is everything.
fn details(image: &VhdxImage) -> Map<String, Value> {
    let (metadata, header) = (&image.metadata, &image.header.header);
    let mut map = Map::new();
    let mut set = |name: &str, value: Value| map.insert(name.to_owned(), value);
    set("block-size", json!(metadata.block_len));
    set("logical-sector-size", json!(metadata.sector_len));
    if let Some(len) = metadata.physical_sector_len {
        set("physical-sector-size", json!(len));
    }
    if let Some(id) = metadata.disk_id {
        set("virtual-disk-id", json!(id.to_string()));
    }
    set("data-write-guid", json!(header.data_write_guid.to_string()));
    set("file-write-guid", json!(header.file_write_guid.to_string()));
    set("sequence-number", json!(header.sequence_number));
    set("log-size", json!(header.log_len));
    if let Some(replay) = image.replay {
        let (entries, sectors, zeroed) = (replay.entries, replay.sectors, replay.zeroed);
        set("log-replayed", json!({ "entries": entries, "sectors": sectors, "zeroed": zeroed }));
    }
    if let Some(fault) = &image.header.other_fault {
        set("header-used", json!(image.header.number));
        set("header-damaged", json!(fault));
    }
    if let Some(fault) = &image.regions.first_fault {
        set("region-table-used", json!(image.regions.table));
        set("region-table-damaged", json!(fault));
    }
    if let Some(locator) = &metadata.parent {
        let pairs: Map<_, _> = locator.pairs.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
        set("parent-locator", Value::Object(pairs));
    }
    if !metadata.unknown.is_empty() {
        let unknown: Vec<_> = metadata.unknown.iter().map(ToString::to_string).collect();
        set("unknown-metadata", json!(unknown));
    }
    map
}
