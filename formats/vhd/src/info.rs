//! What is said about a disk.

use imgfmt_core::{Description, ParentName};
use serde_json::{Map, Value, json};

use crate::NAME;
use crate::copies::Chosen;
use crate::footer::Footer;
use crate::header::Header;
use crate::layout::{EPOCH, FEATURES_TEMPORARY};
use crate::parent::{ParentNames, identity};
use crate::size::SizeFrom;

/// What was found while the disk was opened.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    /// The footer that counts.
    pub(crate) chosen: Chosen,
    /// The field that says how large the disk is.
    pub(crate) size_from: SizeFrom,
    /// What only disks with a table have.
    pub(crate) table: Option<TableFacts>,
}

/// What was found of a disk with a table.
#[derive(Clone, Debug)]
pub(crate) struct TableFacts {
    /// The header.
    pub(crate) header: Header,
    /// Blocks that are there.
    pub(crate) allocated: u64,
    /// How a differencing disk names its parent.
    pub(crate) names: Option<ParentNames>,
}

/// Says what there is to be said.
pub(crate) fn describe(facts: &Facts) -> Description {
    let footer = &facts.chosen.footer;
    let header = facts.table.as_ref().map(|table| &table.header);
    let names = facts.table.as_ref().and_then(|table| table.names.as_ref());
    Description {
        format: NAME,
        subformat: Some(footer.disk_type.name().to_owned()),
        cluster_size: header.map(|header| u64::from(header.block_size)),
        parent: names.and_then(parent_name),
        identities: Some(footer.unique_id).filter(|id| !id.is_nil()).map(identity).into_iter().collect(),
        features: features(footer),
        creator: creator(footer),
        details: details(facts),
        ..Description::default()
    }
}

/// The parent, as it would be looked for first.
fn parent_name(names: &ParentNames) -> Option<ParentName> {
    let name = names.candidates().into_iter().next()?;
    Some(ParentName { name, format: Some(NAME.to_owned()) })
}

/// The program that made the disk, and its version.
fn creator(footer: &Footer) -> Option<String> {
    let app = printable(footer.creator_app);
    let version = format!("{}.{}", footer.creator_version >> 16, footer.creator_version & 0xffff);
    let known = CREATORS.iter().find(|(code, _)| *code == footer.creator_app).map(|(_, program)| *program);
    match (known, app.as_str()) {
        (Some(program), _) => Some(format!("{app} {version} ({program})")),
        (None, "") => None,
        (None, _) => Some(format!("{app} {version}")),
    }
}

/// Names of what the disk makes use of.
fn features(footer: &Footer) -> Vec<String> {
    let features = [("temporary", footer.features & FEATURES_TEMPORARY != 0), ("saved-state", footer.saved_state)];
    features.into_iter().filter(|&(_, used)| used).map(|(name, _)| name.to_owned()).collect()
}

/// What there is besides.
fn details(facts: &Facts) -> Map<String, Value> {
    let footer = &facts.chosen.footer;
    let mut map = Map::new();
    let mut put = |key: &str, value: Value| map.insert(key.to_owned(), value);
    if let Some(note) = facts.chosen.note {
        put("footer", json!(note));
    }
    put("unique-id", json!(footer.unique_id.to_string()));
    put("time-stamp", json!(EPOCH + u64::from(footer.time_stamp)));
    put("creator-application", json!(printable(footer.creator_app)));
    put("creator-host-os", json!(printable(footer.creator_host)));
    put("size-from", json!(facts.size_from.field()));
    put("current-size", json!(footer.current_size));
    put("original-size", json!(footer.original_size));
    let geometry = footer.geometry;
    put("geometry", json!({ "cylinders": geometry.cylinders, "heads": geometry.heads, "sectors": geometry.sectors }));
    put("geometry-size", json!(geometry.size()));
    put("saved-state", json!(footer.saved_state));
    if let Some(table) = &facts.table {
        map.extend(table_details(table));
    }
    map
}

/// What only disks with a table have.
fn table_details(table: &TableFacts) -> Map<String, Value> {
    let header = &table.header;
    let mut map = Map::new();
    let mut put = |key: &str, value: Value| map.insert(key.to_owned(), value);
    if !header.checksum_ok {
        put("header", json!("the checksum of the header is wrong"));
    }
    put("table-offset", json!(header.table_offset));
    put("max-table-entries", json!(header.max_table_entries));
    put("allocated-blocks", json!(table.allocated));
    if let Some(names) = &table.names {
        put("parent-unique-id", json!(header.parent_id.to_string()));
        put("parent-time-stamp", json!(header.parent_time));
        put("parent-unicode-name", json!(names.unicode));
        let locator = |(code, name): &([u8; 4], String)| json!({ "platform": printable(*code), "name": name });
        put("parent-locators", names.locators.iter().map(locator).collect());
    }
    map
}

/// Four bytes that are meant to be letters, without what only fills them up.
fn printable(code: [u8; 4]) -> String {
    let text: String = code.iter().map(|&byte| if byte.is_ascii_graphic() { char::from(byte) } else { ' ' }).collect();
    text.trim_end().to_owned()
}

/// Programs by their `Creator Application`, where that is no name.
const CREATORS: &[([u8; 4], &str)] = &[
    (*b"vpc ", "Virtual PC"),
    (*b"vs  ", "Virtual Server"),
    (*b"win ", "Windows or Hyper-V"),
    (*b"wa\0\0", "Azure"),
    (*b"d2v\0", "Disk2vhd"),
    (*b"d2v ", "Disk2vhd"),
    (*b"qemu", "QEMU"),
    (*b"qem2", "QEMU"),
    (*b"vbox", "VirtualBox"),
    (*b"tap\0", "XenServer"),
    (*b"CTXS", "XenConverter"),
    (*b"bxic", "Bochs"),
    (*b"imgf", "imgfmt"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_that_only_fill_up_are_left_out() {
        assert_eq!(printable(*b"wa\0\0"), "wa");
        assert_eq!(printable(*b"win "), "win");
        assert_eq!(printable([0; 4]), "");
    }
}
