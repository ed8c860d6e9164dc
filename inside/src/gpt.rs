//! GUID partition tables (UEFI 2.10, 5.3), in sectors of 512 or 4096 bytes.
//!
//! | Offset | Size | Header | Rule |
//! |-------:|-----:|---|---|
//! | 0 | 8 | Signature | `EFI PART` |
//! | 8 | 4 | Revision | |
//! | 12 | 4 | HeaderSize | 92 up to a sector |
//! | 16 | 4 | HeaderCRC32 | over HeaderSize bytes, with this field 0 |
//! | 24 | 8 | MyLBA | the sector it is in |
//! | 32 | 8 | AlternateLBA | the sector of the other copy |
//! | 40 | 8 | FirstUsableLBA | |
//! | 48 | 8 | LastUsableLBA | |
//! | 56 | 16 | DiskGUID | |
//! | 72 | 8 | PartitionEntryLBA | |
//! | 80 | 4 | NumberOfPartitionEntries | |
//! | 84 | 4 | SizeOfPartitionEntry | 128 × 2^n |
//! | 88 | 4 | PartitionEntryArrayCRC32 | |
//!
//! | Offset | Size | Entry |
//! |-------:|-----:|---|
//! | 0 | 16 | PartitionTypeGUID; 0 where it is not in use |
//! | 16 | 16 | UniquePartitionGUID |
//! | 32 | 8 | StartingLBA |
//! | 40 | 8 | EndingLBA, the last one |
//! | 48 | 8 | Attributes |
//! | 56 | 72 | PartitionName, UTF-16 |

use imgfmt_core::Limits;

use crate::bytes::{array, guid, has, le32, le64, utf16};
use crate::disk::Disk;
use crate::found::{CopyState, Gpt, Inside, Partition, Severity, Table, TableKind};
use crate::mbr::Mbr;
use crate::names;

/// A header that is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Header {
    /// The sector it is in.
    lba: u64,
    /// The sector of the other copy.
    other: u64,
    /// First and last sector for partitions.
    usable: (u64, u64),
    /// The identifier of the disk.
    disk: [u8; 16],
    /// The first sector of the entries.
    entries: u64,
    /// How many there are.
    count: u32,
    /// Bytes of each.
    entry_len: u32,
    /// The checksum of all.
    crc: u32,
}

/// One copy of the table.
struct Copy {
    /// Its state.
    state: CopyState,
    /// Its header, where that is whole.
    header: Option<Header>,
    /// Its entries, where they can be read.
    entries: Vec<u8>,
}

/// Takes note of the table of a disk in `inside`, and returns the length of its sectors, where there is one.
pub(crate) fn read(disk: &Disk<'_>, limits: &Limits, mbr: Option<&Mbr>, inside: &mut Inside) -> Option<u64> {
    let protected = mbr.is_some_and(Mbr::protects);
    let Some(copies) = Copies::read(disk, limits) else {
        if protected {
            inside.find("gpt.missing", Severity::Error, Some(512), "the MBR protects a GPT, and there is none");
        }
        return None;
    };
    copies.compare(disk, inside);
    if !protected {
        inside.find("gpt.protective", Severity::Warning, Some(0), "no MBR protects the GPT");
    }
    let best = copies.best().and_then(|copy| Some((copy, copy.header?)));
    inside.tables.push(copies.table(best.map(|(_, header)| header)));
    if let Some((copy, header)) = best {
        partitions(&header, &copy.entries, copies.sector_len, inside);
    }
    Some(copies.sector_len)
}

/// Both copies of the table.
struct Copies {
    /// Bytes of a sector.
    sector_len: u64,
    /// The one at the start.
    primary: Copy,
    /// The one at the end.
    backup: Copy,
    /// The sector of the header of the latter.
    backup_at: u64,
}

impl Copies {
    /// Reads both, if there is either.
    fn read(disk: &Disk<'_>, limits: &Limits) -> Option<Self> {
        let is_there = |&len: &u64| is_header(disk, len, 1) || is_header(disk, len, last(disk, len));
        let sector_len = SECTOR_LENS.into_iter().find(is_there)?;
        let primary = Copy::read(disk, limits, sector_len, 1);
        let backup_at = primary.header.map_or(last(disk, sector_len), |header| header.other);
        let backup = Copy::read(disk, limits, sector_len, backup_at);
        Some(Self { sector_len, primary, backup, backup_at })
    }

    /// The copy to believe: one that is whole, the first of them; else one whose header is.
    fn best(&self) -> Option<&Copy> {
        let both = [&self.primary, &self.backup];
        let in_state = |state| both.into_iter().find(|copy| copy.state == state);
        in_state(CopyState::Valid).or_else(|| in_state(CopyState::BadEntries))
    }

    /// What is to be said of the table, of which `header` is believed.
    fn table(&self, header: Option<Header>) -> Table {
        let (first, end) = header.map_or((0, 0), |header| (header.usable.0, header.usable.1.saturating_add(1)));
        Table {
            kind: TableKind::Gpt,
            sector_len: self.sector_len,
            id: header.map(|header| guid(&header.disk, 0)),
            protective: false,
            hybrid: false,
            gpt: Some(Gpt {
                primary: self.primary.state,
                backup: self.backup.state,
                first_usable: first.saturating_mul(self.sector_len),
                usable_end: end.saturating_mul(self.sector_len),
            }),
        }
    }

    /// Takes note of the states of the copies, and of how they differ.
    fn compare(&self, disk: &Disk<'_>, inside: &mut Inside) {
        let one_is_whole = self.best().is_some_and(|copy| copy.state == CopyState::Valid);
        let severity = if one_is_whole { Severity::Warning } else { Severity::Error };
        for (code, name, copy) in [("gpt.primary", "primary", &self.primary), ("gpt.backup", "backup", &self.backup)] {
            let Some(what) = copy.complaint() else { continue };
            let at = copy.header.map(|header| header.lba.saturating_mul(self.sector_len));
            inside.find(code, severity, at, format!("the {name} GPT {what}"));
        }
        if let (Some(first), Some(second)) = (self.primary.header, self.backup.header)
            && first.common() != second.common()
        {
            inside.find("gpt.copies", Severity::Error, None, "the two copies of the GPT are not the same table");
        }
        if self.primary.header.is_some() && self.backup_at != last(disk, self.sector_len) {
            let what = "the backup is not in the last sector, as where a disk was made larger or smaller";
            let at = self.backup_at.saturating_mul(self.sector_len);
            inside.find("gpt.backup-place", Severity::Warning, Some(at), what);
        }
    }
}

impl Copy {
    /// What is wrong with it, if anything is.
    fn complaint(&self) -> Option<&'static str> {
        match self.state {
            CopyState::Valid => None,
            CopyState::BadHeader => Some("is damaged: its header has a wrong checksum, place or length"),
            CopyState::BadEntries => Some("is damaged: its entries have a wrong checksum, or cannot be read"),
            CopyState::Missing => Some("is not there"),
        }
    }

    /// Reads the copy whose header is in sector `lba`.
    fn read(disk: &Disk<'_>, limits: &Limits, sector_len: u64, lba: u64) -> Self {
        let bad = |state| Self { state, header: None, entries: Vec::new() };
        let Some(sector) = sector(disk, sector_len, lba).filter(|sector| has(sector, 0, MAGIC)) else {
            return bad(CopyState::Missing);
        };
        let Some(header) = Header::parse(&sector, lba) else { return bad(CopyState::BadHeader) };
        let len = limits.table_len("NumberOfPartitionEntries", header.count.into(), header.entry_len.into());
        let len = len.unwrap_or(usize::MAX);
        let at = header.entries.saturating_mul(sector_len);
        let entries = if len <= MAX_ENTRIES_LEN { disk.read_exact(at, len).unwrap_or_default() } else { Vec::new() };
        let whole = !entries.is_empty() && crc32fast::hash(&entries) == header.crc;
        let state = if whole { CopyState::Valid } else { CopyState::BadEntries };
        Self { state, header: Some(header), entries }
    }
}

impl Header {
    /// Parses the header in sector `lba`, if it is whole.
    fn parse(sector: &[u8], lba: u64) -> Option<Self> {
        let len =
            usize::try_from(le32(sector, 12)).ok().filter(|&len| (MIN_HEADER_LEN..=sector.len()).contains(&len))?;
        let mut header = sector[..len].to_vec();
        header[16..20].fill(0);
        let entry_len = le32(sector, 84);
        let right = crc32fast::hash(&header) == le32(sector, 16)
            && le64(sector, 24) == lba
            && entry_len >= MIN_ENTRY_LEN
            && entry_len.is_power_of_two();
        right.then(|| Self {
            lba,
            other: le64(sector, 32),
            usable: (le64(sector, 40), le64(sector, 48)),
            disk: array(sector, 56),
            entries: le64(sector, 72),
            count: le32(sector, 80),
            entry_len,
            crc: le32(sector, 88),
        })
    }

    /// What both copies have alike.
    fn common(&self) -> ((u64, u64), [u8; 16], u32, u32, u32) {
        (self.usable, self.disk, self.count, self.entry_len, self.crc)
    }
}

/// Takes note of the partitions.
fn partitions(header: &Header, entries: &[u8], sector_len: u64, inside: &mut Inside) {
    let entry_len = usize::try_from(header.entry_len).unwrap_or(usize::MAX);
    for (number, entry) in (1..).zip(entries.chunks_exact(entry_len)) {
        if array::<16>(entry, 0) != [0; 16] {
            check_place(header, number, entry, sector_len, inside);
            inside.partitions.push(partition(number, entry, sector_len));
        }
    }
}

/// Takes note of a place where no partition can be.
fn check_place(header: &Header, number: u32, entry: &[u8], sector_len: u64, inside: &mut Inside) {
    let (first, last) = (le64(entry, 32), le64(entry, 40));
    let at = Some(first.saturating_mul(sector_len));
    if last < first {
        let what = format!("GPT partition {number} ends before it starts");
        inside.find("partition.reversed", Severity::Error, at, what);
    } else if first < header.usable.0 || last > header.usable.1 {
        let what = format!("GPT partition {number} is not within what the table calls usable");
        inside.find("partition.unusable", Severity::Warning, at, what);
    }
}

/// The partition of an entry.
fn partition(number: u32, entry: &[u8], sector_len: u64) -> Partition {
    let (first, last) = (le64(entry, 32), le64(entry, 40));
    let attributes = le64(entry, 48);
    let type_id = guid(entry, 0);
    Partition {
        table: TableKind::Gpt,
        number,
        start: first.saturating_mul(sector_len),
        len: last.saturating_add(1).saturating_sub(first).saturating_mul(sector_len),
        type_name: names::of_gpt(&type_id),
        type_id,
        id: Some(guid(entry, 16)),
        name: Some(utf16(entry, 56, 36)).filter(|name| !name.is_empty()),
        bootable: attributes & LEGACY_BOOTABLE != 0,
        attributes,
        container: false,
        signatures: Vec::new(),
    }
}

/// Whether sector `lba` has the magic number of a header.
fn is_header(disk: &Disk<'_>, sector_len: u64, lba: u64) -> bool {
    let at = lba.saturating_mul(sector_len);
    lba > 0 && disk.read_exact(at, MAGIC.len()).is_some_and(|start| start == MAGIC)
}

/// Reads sector `lba`.
fn sector(disk: &Disk<'_>, sector_len: u64, lba: u64) -> Option<Vec<u8>> {
    disk.read_exact(lba.checked_mul(sector_len)?, usize::try_from(sector_len).ok()?)
}

/// The last sector of a disk.
fn last(disk: &Disk<'_>, sector_len: u64) -> u64 {
    (disk.len() / sector_len).saturating_sub(1)
}

/// What a header starts with.
const MAGIC: &[u8] = b"EFI PART";
/// Lengths of sectors that tables are looked for in.
const SECTOR_LENS: [u64; 2] = [512, 4096];
/// Bytes of a header at least.
const MIN_HEADER_LEN: usize = 92;
/// Bytes of an entry at least.
const MIN_ENTRY_LEN: u32 = 128;
/// Bytes of all entries that are looked at: 16 times of what tables have.
const MAX_ENTRIES_LEN: usize = 256 << 10;
/// The attribute of a partition that is booted by way of an MBR. UEFI 2.10, 5.3.3.
const LEGACY_BOOTABLE: u64 = 1 << 2;
