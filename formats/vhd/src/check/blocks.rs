//! The table, and the blocks that it leads to.

use std::ops::Range;

use imgfmt_core::{CheckStats, Finding, Repair, Result, Severity, StorageExt};

use super::{Look, corruption, warning};
use crate::bitmap::SectorBitmap;
use crate::copies::Chosen;
use crate::footer::DiskType;
use crate::header::Header;
use crate::layout::{
    ENTRY_LEN, FOOTER_LEN, HEADER_CHECKSUM_AT, MAX_TABLE_ENTRIES_AT, SECTOR_LEN, TABLE_OFFSET_AT, UNUSED_ENTRY, be_u32s,
};
use crate::patch::RawHeader;
use crate::space::{self, Grid, Structure};

/// What is known of a table and its blocks.
pub(super) struct Seen {
    /// What was counted.
    pub(super) stats: CheckStats,
    /// Where everything ends that is in use.
    pub(super) used_end: u64,
    /// Whether not all of that is in the file.
    pub(super) is_cut: bool,
    /// Whether nothing but the copy of the footer lies in front.
    pub(super) front_is_free: bool,
}

/// A table, and what it is to be held against.
pub(super) struct Table<'a> {
    /// Its entries, those of the blocks of the disk.
    pub(super) entries: Vec<u32>,
    /// The disk.
    pub(super) grid: Grid,
    /// Byte of the first entry.
    at: u64,
    /// What is no block.
    pub(super) structures: Vec<Structure>,
    /// The footer that counts.
    pub(super) chosen: &'a Chosen,
    /// Whether what is not stored is a parent's.
    has_parent: bool,
}

impl Table<'_> {
    /// The byte of the entry of block `index`.
    fn entry_at(&self, index: u64) -> u64 {
        self.at + index * ENTRY_LEN
    }

    /// The blocks: their numbers, and where they are, in the order of the disk.
    fn blocks(&self) -> impl Iterator<Item = (u64, Range<u64>)> + '_ {
        let used = (0..).zip(&self.entries).filter(|(_, entry)| **entry != UNUSED_ENTRY);
        used.map(|(index, entry)| {
            let at = u64::from(*entry) * SECTOR_LEN;
            (index, at..at + self.grid.stored_len(index))
        })
    }

    /// Where everything ends that is in use.
    pub(super) fn used_end(&self) -> u64 {
        space::used_end(&self.structures, &self.entries, self.grid, self.chosen.data_end)
    }
}

impl Look<'_> {
    /// Looks at the table of `header`, of a disk of `size` bytes, and at all that it leads to.
    pub(super) fn at_blocks(&mut self, chosen: &Chosen, header: &Header, size: u64) -> Result<Option<Seen>> {
        let has_parent = chosen.footer.disk_type == DiskType::Differencing;
        let header_at = chosen.footer.data_offset;
        if has_parent {
            self.at_names(header, header_at);
        }
        let grid = Grid { size, block_len: u64::from(header.block_size) };
        let Some(entries) = self.entries(header, header_at, grid)? else { return Ok(None) };
        let structures = space::structures(self.storage, header, header_at, has_parent)?;
        let table = Table { entries, grid, at: header.table_offset, structures, chosen, has_parent };
        self.at_places(&table);
        self.at_overlaps(&table);
        self.at_bitmaps(&table);
        let used_end = table.used_end();
        let is_cut = used_end > chosen.data_end;
        if !self.table_damaged {
            self.at_unused(&table)?;
        }
        self.at_header_sum(header, header_at)?;
        let front_is_free = table.structures.iter().skip(1).map(|(range, _)| range.start).min() >= Some(FRONT_END)
            && table.blocks().all(|(_, block)| block.start >= FRONT_END);
        Ok(Some(Seen { stats: self.stats(&table, used_end), used_end, is_cut, front_is_free }))
    }

    /// The entries of the table that are there and are of a block of the disk.
    fn entries(&mut self, header: &Header, header_at: u64, grid: Grid) -> Result<Option<Vec<u32>>> {
        if let Err(error) = header.blocks(grid.size) {
            self.table_damaged = true;
            let what = format!("Max Table Entries {error}");
            self.tell(corruption("vhd-table-small", what, header_at + MAX_TABLE_ENTRIES_AT as u64));
        }
        let place = header_at + TABLE_OFFSET_AT as u64;
        let end = header.table_offset.saturating_add(header.table_len());
        if end > self.storage.len() {
            self.table_damaged = true;
            let what = format!("the table ends at byte {end}, but the file at byte {}", self.storage.len());
            self.tell(corruption("vhd-table-outside", what, place));
            return Ok(None);
        }
        if !header.table_offset.is_multiple_of(SECTOR_LEN) {
            self.tell(warning("vhd-table-unaligned", "the table does not start with a sector", place));
        }
        let count = grid.blocks().min(u64::from(header.max_table_entries));
        match self.context.limits.table_len("Max Table Entries", count, ENTRY_LEN) {
            Ok(len) => Ok(Some(be_u32s(&self.storage.read_vec(header.table_offset, len)?, count))),
            Err(error) => {
                self.table_damaged = true;
                let what = format!("the table cannot be looked at: {error}");
                self.tell(Finding::new("vhd-table-unchecked", Severity::Unchecked, what).at(header.table_offset));
                Ok(None)
            }
        }
    }

    /// Looks whether structures and blocks lie where they may.
    fn at_places(&mut self, table: &Table<'_>) {
        let end = table.chosen.data_end;
        for (number, (one, what)) in table.structures.iter().enumerate() {
            let others = table.structures.iter().skip(number + 1);
            for (_, other) in others.filter(|(other, _)| one.start < other.end && other.start < one.end) {
                self.table_damaged = true;
                self.tell(corruption("vhd-structure-overlap", format!("{what} lies over {other}"), one.start));
            }
        }
        for (index, block) in table.blocks() {
            let guest = index * table.grid.block_len;
            if block.end > end {
                self.table_damaged = true;
                let what = format!("block {index} ends at byte {}, but data at byte {end}", block.end);
                self.tell(corruption("vhd-block-outside", what, table.entry_at(index)).guest(guest));
            }
            let over = table.structures.iter().find(|(other, _)| block.start < other.end && other.start < block.end);
            if let Some((_, other)) = over {
                self.table_damaged = true;
                let what = format!("block {index}, at byte {}, lies over {other}", block.start);
                self.tell(corruption("vhd-block-misplaced", what, table.entry_at(index)).guest(guest));
            }
        }
    }

    /// Looks whether blocks lie over each other.
    fn at_overlaps(&mut self, table: &Table<'_>) {
        let mut blocks: Vec<(u32, u32)> = Vec::new();
        for (index, block) in table.blocks() {
            // Both have 32 bits in the file.
            blocks.push(((block.start / SECTOR_LEN) as u32, index as u32));
        }
        blocks.sort_unstable();
        let mut before: Option<(u64, u32)> = None;
        for (sector, index) in blocks {
            let start = u64::from(sector) * SECTOR_LEN;
            let end = start + table.grid.stored_len(u64::from(index));
            if let Some((_, other)) = before.filter(|(before, _)| *before > start) {
                self.table_damaged = true;
                let what = format!("block {index} lies over block {other}, at byte {start}");
                let guest = u64::from(index) * table.grid.block_len;
                self.tell(corruption("vhd-block-overlap", what, table.entry_at(u64::from(index))).guest(guest));
            }
            if before.is_none_or(|(before, _)| before < end) {
                before = Some((end, index));
            }
        }
    }

    /// Looks whether all sectors of the blocks of a disk without a parent are stored: readers differ on others.
    fn at_bitmaps(&mut self, table: &Table<'_>) {
        let (grid, end) = (table.grid, table.chosen.data_end);
        for (index, block) in table.blocks().filter(|_| !table.has_parent) {
            let Ok(bitmap) = SectorBitmap::read(self.storage, block.start, grid.block_len, end) else { continue };
            let start = index * grid.block_len;
            let sectors = (grid.size - start).min(grid.block_len).div_ceil(SECTOR_LEN);
            if bitmap.run(0, sectors) != (true, sectors) {
                let what =
                    format!("block {index} has sectors that were never written: not all readers take them for zero");
                self.tell(warning("vhd-bitmap-partial", what, block.start).guest(start));
            }
        }
    }

    /// Looks at the checksum of the header, which is borne out where the table is whole.
    fn at_header_sum(&mut self, header: &Header, at: u64) -> Result<()> {
        if header.checksum_ok {
            return Ok(());
        }
        let place = at + HEADER_CHECKSUM_AT as u64;
        let finding = corruption("vhd-header-checksum", "the checksum of the header is wrong", place);
        if self.table_damaged {
            self.tell(finding);
        } else if self.tell_mended_by(Repair::All, finding) {
            self.plan.header = Some((at, RawHeader::read(self.storage, at)?.summed()));
        }
        Ok(())
    }

    /// Counts.
    fn stats(&self, table: &Table<'_>, used_end: u64) -> CheckStats {
        let mut stats = CheckStats { total_units: table.grid.blocks(), ..CheckStats::default() };
        let mut end = None;
        for (_, block) in table.blocks() {
            stats.allocated_units += 1;
            // Padding between blocks does not part them.
            let gap = table.grid.stride();
            let follows = end.is_none_or(|end: u64| block.start >= end && block.start - end < gap);
            stats.fragmented_units += u64::from(!follows);
            end = Some(block.end);
        }
        let data_end = table.chosen.data_end;
        stats.image_end = Some(if data_end < self.storage.len() { self.storage.len() } else { used_end });
        stats
    }
}

/// Where the copy of the footer in front ends.
const FRONT_END: u64 = FOOTER_LEN as u64;
