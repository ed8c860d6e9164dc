//! Master boot records, with the chain of logical partitions.
//!
//! | Offset | Size | Field |
//! |-------:|-----:|---|
//! | 440 | 4 | disk signature |
//! | 446 | 4 × 16 | partition entries |
//! | 510 | 2 | 0x55 0xaa |
//!
//! | Offset | Size | Partition entry |
//! |-------:|-----:|---|
//! | 0 | 1 | status: 0x80 to be booted, 0 not |
//! | 4 | 1 | type |
//! | 8 | 4 | first sector |
//! | 12 | 4 | sectors |
//!
//! An extended partition starts with a sector of the same form. Its first entry is a logical partition, counted from that sector; its
//! second leads to the next, counted from the start of the extended partition.

use std::collections::HashSet;

use crate::bytes::{has, le32};
use crate::disk::Disk;
use crate::found::{Inside, Partition, Severity, Table, TableKind};
use crate::names;

/// The table in the first sector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mbr {
    /// The disk signature.
    signature: u32,
    /// The entries.
    entries: [Entry; 4],
}

/// A partition entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    /// Whether it is to be booted, and anything else.
    status: u8,
    /// Its type; 0 where it is not in use.
    kind: u8,
    /// Its first sector.
    start: u32,
    /// Its sectors.
    sectors: u32,
}

/// Reads the table of a disk, if it has one.
pub(crate) fn read(disk: &Disk<'_>) -> Option<Mbr> {
    Mbr::parse(disk.first())
}

impl Mbr {
    /// Parses a sector. One with other values in its status bytes, or no entry in use, is boot code of something else.
    fn parse(sector: &[u8]) -> Option<Self> {
        let entries = entries(sector)?;
        let plausible = entries.iter().all(|entry| matches!(entry.status, 0 | ACTIVE));
        let used = entries.iter().any(|entry| entry.is_used());
        (plausible && used).then(|| Self { signature: le32(sector, SIGNATURE_AT), entries })
    }

    /// Whether an entry protects a GUID partition table.
    pub(crate) fn protects(&self) -> bool {
        self.entries.iter().any(|entry| entry.kind == PROTECTIVE)
    }

    /// Takes note of the table and its partitions in `inside`.
    pub(crate) fn report(&self, disk: &Disk<'_>, sector_len: u64, inside: &mut Inside) {
        let protective = self.protects();
        let others = self.entries.iter().any(|entry| entry.is_used() && entry.kind != PROTECTIVE);
        inside.tables.push(Table {
            kind: TableKind::Mbr,
            sector_len,
            id: Some(format!("{:08x}", self.signature)),
            protective,
            hybrid: protective && others,
            gpt: None,
        });
        if protective && others {
            inside.find(
                "mbr.hybrid",
                Severity::Info,
                Some(0),
                "the MBR has partitions beside the one that protects the GPT",
            );
        }
        let active = self.entries.iter().filter(|entry| entry.is_used() && entry.status == ACTIVE).count();
        if active > 1 {
            inside.find("mbr.active", Severity::Warning, Some(0), format!("{active} partitions are to be booted from"));
        }
        let has_gpt = inside.tables.iter().any(|table| table.kind == TableKind::Gpt);
        for (number, entry) in (1..).zip(&self.entries) {
            if entry.is_used() && (entry.kind != PROTECTIVE || !has_gpt) {
                inside.partitions.push(entry.partition(number, 0, sector_len));
            }
        }
        for entry in self.entries.iter().filter(|entry| entry.is_used() && entry.is_extended()) {
            self.report_logical(disk, u64::from(entry.start), sector_len, inside);
        }
    }

    /// Takes note of the logical partitions in the extended one that starts at sector `base`.
    fn report_logical(&self, disk: &Disk<'_>, base: u64, sector_len: u64, inside: &mut Inside) {
        let mut seen = HashSet::new();
        let mut at = base;
        let mut number =
            5 + u32::try_from(inside.partitions.iter().filter(|part| part.number >= 5).count()).unwrap_or(0);
        while seen.insert(at) {
            let byte = at * sector_len;
            if seen.len() > MAX_LOGICAL {
                inside.find(
                    "mbr.logical",
                    Severity::Error,
                    Some(byte),
                    format!("more than {MAX_LOGICAL} logical partitions"),
                );
                return;
            }
            let Some(entries) = disk.read_exact(byte, 512).and_then(|sector| entries(&sector)) else {
                let what = "the chain of logical partitions leads to a sector without 55 aa";
                inside.find("mbr.logical", Severity::Error, Some(byte), what);
                return;
            };
            if entries[0].is_used() {
                inside.partitions.push(entries[0].partition(number, at, sector_len));
                number += 1;
            }
            if !entries[1].is_extended() || !entries[1].is_used() {
                return;
            }
            at = base + u64::from(entries[1].start);
        }
        let what = "the chain of logical partitions leads back to itself";
        inside.find("mbr.logical", Severity::Error, Some(at * sector_len), what);
    }
}

impl Entry {
    /// Parses an entry.
    fn parse(entry: &[u8]) -> Self {
        Self { status: entry[0], kind: entry[4], start: le32(entry, 8), sectors: le32(entry, 12) }
    }

    /// Whether it is a partition.
    fn is_used(self) -> bool {
        self.kind != 0 && self.sectors > 0
    }

    /// Whether it holds logical partitions.
    fn is_extended(self) -> bool {
        EXTENDED.contains(&self.kind)
    }

    /// The partition, whose first sector is counted from `base`.
    fn partition(self, number: u32, base: u64, sector_len: u64) -> Partition {
        Partition {
            table: TableKind::Mbr,
            number,
            start: (base + u64::from(self.start)).saturating_mul(sector_len),
            len: u64::from(self.sectors).saturating_mul(sector_len),
            type_id: format!("{:02x}", self.kind),
            type_name: names::of_mbr(self.kind),
            id: None,
            name: None,
            bootable: self.status == ACTIVE,
            attributes: 0,
            container: self.is_extended(),
            signatures: Vec::new(),
        }
    }
}

/// The entries of a sector that ends as it should.
fn entries(sector: &[u8]) -> Option<[Entry; 4]> {
    let entry = |index: usize| sector.get(446 + 16 * index..462 + 16 * index).map(Entry::parse);
    has(sector, 510, &[0x55, 0xaa]).then_some(())?;
    Some([entry(0)?, entry(1)?, entry(2)?, entry(3)?])
}

/// Bytes of a sector, where nothing says otherwise: the table itself does not.
pub(crate) const SECTOR_LEN: u64 = 512;
/// Position of the disk signature.
const SIGNATURE_AT: usize = 440;
/// The status of a partition to boot from.
const ACTIVE: u8 = 0x80;
/// The type of what protects a GUID partition table. UEFI 2.10, 5.2.3.
const PROTECTIVE: u8 = 0xee;
/// Types of extended partitions: of DOS, of Windows and of Linux.
const EXTENDED: [u8; 3] = [0x05, 0x0f, 0x85];
/// Logical partitions at most: not a rule of the table, which has no end.
const MAX_LOGICAL: usize = 128;
