//! Partition tables in the system area: discs that also boot from a stick.

use serde_json::{Value, json};

use crate::bytes::{le32, part};

/// The partition tables of a disc.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hybrid {
    /// The entries of a master boot record that are in use, if it has any.
    pub(crate) mbr: Vec<MbrEntry>,
    /// Whether there is a GUID partition table.
    pub(crate) gpt: bool,
    /// Whether there is an Apple partition map.
    pub(crate) apm: bool,
}

/// An entry of a master boot record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MbrEntry {
    /// Whether it is to be booted.
    active: bool,
    /// Its type.
    kind: u8,
    /// Its first sector of 512 bytes.
    start: u32,
    /// Its sectors.
    sectors: u32,
}

impl Hybrid {
    /// Looks at the first bytes of a disc.
    pub(crate) fn parse(start: &[u8; HEAD_LEN]) -> Self {
        let signed = start[510..512] == [0x55, 0xaa];
        let entries = (0..4).map(|index| MbrEntry::parse(part(start, (446 + 16 * index, 16))));
        Self {
            mbr: entries.filter(|entry| signed && entry.is_used()).collect(),
            gpt: [512, 2048].iter().any(|&at| start[at..].starts_with(b"EFI PART")),
            // The driver map may give way to a boot record; the map itself is in blocks of 512 or 2048 bytes.
            apm: [512, 2048].iter().any(|&at| start[at..at + 4] == *b"PM\0\0"),
        }
    }

    /// Names of the tables.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> {
        let tables = [("mbr", !self.mbr.is_empty()), ("gpt", self.gpt), ("apm", self.apm)];
        tables.into_iter().filter(|&(_, there)| there).map(|(name, _)| name)
    }

    /// What there is to say of the master boot record of a disc of `len` bytes.
    pub(crate) fn mbr_json(&self, len: u64) -> Value {
        self.mbr.iter().map(|entry| entry.to_json(len)).collect()
    }
}

impl MbrEntry {
    /// Parses an entry of 16 bytes.
    fn parse(entry: &[u8]) -> Self {
        Self { active: entry[0] == 0x80, kind: entry[4], start: le32(entry, 8), sectors: le32(entry, 12) }
    }

    /// Whether it is a partition.
    fn is_used(self) -> bool {
        self.sectors > 0
    }

    /// What there is to say. Only ISO 9660 and UDF decide whether a disc is whole, so that a partition beyond its end is no error.
    fn to_json(self, len: u64) -> Value {
        let end = (u64::from(self.start) + u64::from(self.sectors)) * 512;
        json!({
            "beyond-the-end": end > len,
            "active": self.active,
            "type": format!("{:#04x}", self.kind),
            "start-sector": self.start,
            "sectors": self.sectors,
        })
    }
}

/// Bytes at the start of a disc that tables can be seen in.
pub(crate) const HEAD_LEN: usize = 4096;
