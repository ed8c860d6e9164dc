//! The text of a descriptor. VMware, "Virtual Disk Format 5.0", "The Descriptor File".
//!
//! In the order in which VMware writes it, since readers are known that look for single lines: `version` right behind
//! the comment, no blanks around `=` in the header, no empty line right before an extent.

use std::fmt::Write;

use super::settings::Settings;
use crate::parent::NO_PARENT;

/// One extent line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ExtentText {
    /// Its sectors.
    pub(super) sectors: u64,
    /// `SPARSE`, `FLAT` or `VMFS`.
    pub(super) kind: &'static str,
    /// Its file.
    pub(super) name: String,
}

/// The descriptor of a disk that consists of `extents`.
pub(super) fn text(settings: &Settings, extents: &[ExtentText]) -> String {
    let facts = &settings.facts;
    let parent_cid = settings.parent.as_ref().map_or(NO_PARENT, |parent| parent.cid);
    let mut text = String::from("# Disk DescriptorFile\nversion=1\nencoding=\"UTF-8\"\n");
    // Nothing that is written to a string fails.
    let _ = writeln!(text, "CID={:08x}\nparentCID={parent_cid:08x}", facts.cid);
    let _ = writeln!(text, "createType=\"{}\"", settings.subformat.name());
    if let Some(parent) = &settings.parent {
        let _ = writeln!(text, "parentFileNameHint=\"{}\"", parent.hint);
    }
    text.push_str("\n# Extent description\n");
    for extent in extents {
        // A flat extent says where in its file it starts; one of ESX always fills it.
        let offset = if extent.kind == "FLAT" { " 0" } else { "" };
        let _ = writeln!(text, "RW {} {} \"{}\"{offset}", extent.sectors, extent.kind, extent.name);
    }
    let geometry = Geometry::of(settings.sectors, facts.adapter);
    let mut database = vec![
        ("virtualHWVersion", facts.hw_version.to_string()),
        ("geometry.cylinders", geometry.cylinders.to_string()),
        ("geometry.heads", geometry.heads.to_string()),
        ("geometry.sectors", geometry.sectors.to_string()),
        ("adapterType", facts.adapter.to_owned()),
        ("toolsVersion", facts.tools_version.to_string()),
    ];
    database.extend(facts.uuid.as_ref().map(|uuid| ("uuid", uuid.clone())));
    text.push_str("\n# The Disk Data Base\n#DDB\n\n");
    for (key, value) in database {
        let _ = writeln!(text, "ddb.{key} = \"{value}\"");
    }
    text
}

/// Cylinders, heads and sectors per track. "The Disk Database".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Geometry {
    /// Whole cylinders.
    cylinders: u64,
    /// Heads.
    heads: u64,
    /// Sectors per track.
    sectors: u64,
}

impl Geometry {
    /// What VMware's controllers make of a disk: IDE has one shape, SCSI grows with the disk.
    fn of(disk_sectors: u64, adapter: &str) -> Self {
        let (heads, sectors) = match (adapter, disk_sectors) {
            ("ide", _) => (16, 63),
            (_, ..GIB_SECTORS) => (64, 32),
            (_, ..TWO_GIB_SECTORS) => (128, 32),
            _ => (255, 63),
        };
        Self { cylinders: disk_sectors / (heads * sectors), heads, sectors }
    }
}

/// Sectors of 1 GiB.
const GIB_SECTORS: u64 = 1 << 21;
/// Sectors of 2 GiB.
const TWO_GIB_SECTORS: u64 = 1 << 22;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn geometries_are_those_of_vmware() {
        let geometry = |sectors, adapter| {
            let Geometry { cylinders, heads, sectors } = Geometry::of(sectors, adapter);
            (cylinders, heads, sectors)
        };
        assert_eq!(geometry(41_943_040, "ide"), (41_610, 16, 63));
        assert_eq!(geometry(4096, "lsilogic"), (2, 64, 32));
        assert_eq!(geometry(3 << 20, "buslogic"), (768, 128, 32));
        assert_eq!(geometry(125_829_120, "lsilogic"), (7832, 255, 63));
    }
}
