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
        let table = self.table(sector_len);
        if table.hybrid {
            let what = "the MBR has partitions beside the one that protects the GPT";
            inside.find("mbr.hybrid", Severity::Info, Some(0), what);
        }
        inside.tables.push(table);
        let active = self.used().filter(|(_, entry)| entry.status == ACTIVE).count();
        if active > 1 {
            inside.find("mbr.active", Severity::Warning, Some(0), format!("{active} partitions are to be booted from"));
        }
        let has_gpt = inside.tables.iter().any(|table| table.kind == TableKind::Gpt);
        let shown = self.used().filter(|(_, entry)| entry.kind != PROTECTIVE || !has_gpt);
        inside.partitions.extend(shown.map(|(number, entry)| entry.partition(number, 0, sector_len)));
        let mut number = FIRST_LOGICAL;
        for (_, extended) in self.used().filter(|(_, entry)| entry.is_extended()) {
            let mut chain = Chain { disk, sector_len, base: extended.start.into(), inside, number };
            chain.follow();
            number = chain.number;
        }
    }

    /// What is to be said of the table.
    fn table(&self, sector_len: u64) -> Table {
        let protective = self.protects();
        Table {
            kind: TableKind::Mbr,
            sector_len,
            id: Some(format!("{:08x}", self.signature)),
            protective,
            hybrid: protective && self.used().any(|(_, entry)| entry.kind != PROTECTIVE),
            gpt: None,
        }
    }

    /// The entries in use, with their numbers.
    fn used(&self) -> impl Iterator<Item = (u32, &Entry)> {
        (1..).zip(&self.entries).filter(|(_, entry)| entry.is_used())
    }
}

/// The logical partitions of an extended one.
struct Chain<'a> {
    /// The disk.
    disk: &'a Disk<'a>,
    /// Bytes of a sector.
    sector_len: u64,
    /// The first sector of the extended partition.
    base: u64,
    /// Where to take note of them.
    inside: &'a mut Inside,
    /// The number of the next.
    number: u32,
}

impl Chain<'_> {
    /// Takes note of all, up to the end of the chain or to what is wrong with it.
    fn follow(&mut self) {
        let mut seen = HashSet::new();
        let mut next = Some(self.base);
        while let Some(at) = next {
            let what = match self.link(at) {
                _ if !seen.insert(at) => "the chain of logical partitions leads back to itself",
                _ if seen.len() > MAX_LOGICAL => "the chain of logical partitions does not end",
                None => "the chain of logical partitions leads to a sector without 55 aa",
                Some([logical, link]) => {
                    next = self.take(at, logical, link);
                    continue;
                }
            };
            self.inside.find("mbr.logical", Severity::Error, Some(at * self.sector_len), what);
            return;
        }
    }

    /// The entries in sector `at`: a partition, and what leads on.
    fn link(&self, at: u64) -> Option<[Entry; 2]> {
        let [logical, link, ..] = entries(&self.disk.read_exact(at * self.sector_len, 512)?)?;
        Some([logical, link])
    }

    /// Takes note of the partition of sector `at`, and returns the sector that comes next.
    fn take(&mut self, at: u64, logical: Entry, link: Entry) -> Option<u64> {
        if logical.is_used() {
            self.inside.partitions.push(logical.partition(self.number, at, self.sector_len));
            self.number += 1;
        }
        (link.is_extended() && link.is_used()).then(|| self.base + u64::from(link.start))
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
/// The number of the first logical partition.
const FIRST_LOGICAL: u32 = 5;
/// Logical partitions at most: not a rule of the table, which has no end.
const MAX_LOGICAL: usize = 128;
