//! The block allocation table: never in memory as a whole.

use std::ops::Range;
use std::sync::Arc;

use imgfmt_core::{Error, Limits, Pages, Result, Storage, StorageExt};

use crate::header::Header;
use crate::layout::{ENTRY_LEN, FOOTER_LEN, HEADER_LEN, SECTOR_LEN, UNUSED_ENTRY, be_u32s, bitmap_len};

/// Where the blocks of a disk are.
#[derive(Debug)]
pub(crate) struct BlockTable {
    /// Byte of the first entry.
    at: u64,
    /// Entries that count: the blocks of the disk.
    entries: u64,
    /// Parts of the table.
    pages: Pages<u64, [u32]>,
}

/// What the whole table was looked through for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Checked {
    /// Blocks that are there.
    pub(crate) allocated: u64,
}

impl BlockTable {
    /// The table that `header` places, for a disk of `size` bytes. All of it lies within `storage`.
    pub(crate) fn new(storage: &dyn Storage, header: &Header, size: u64, limits: &Limits) -> Result<Self> {
        let entries = header.blocks(size)?;
        limits.table_len("Max Table Entries", entries, ENTRY_LEN)?;
        let at = header.table_offset;
        match at.checked_add(header.table_len()) {
            Some(end) if end <= storage.len() => {
                Ok(Self { at, entries, pages: Pages::within(CACHE_LEN, PAGE_ENTRIES * ENTRY_LEN) })
            }
            _ => {
                let what = format!(
                    "puts a table of {} entries at byte {at}, but the file ends at byte {}",
                    header.max_table_entries,
                    storage.len()
                );
                Err(Error::out_of_bounds(what).field("Table Offset"))
            }
        }
    }

    /// Looks at every entry once: no two blocks may share bytes, and none may lie over the structures of the file.
    ///
    /// A table that names one block over and over would make a small file a large disk.
    pub(crate) fn check(&self, storage: &dyn Storage, header: &Header, header_at: u64, size: u64) -> Result<Checked> {
        let block = u64::from(header.block_size);
        let stride = bitmap_len(block) + block;
        let tail = size % block;
        let last_len = if tail == 0 { stride } else { bitmap_len(block) + tail.next_multiple_of(SECTOR_LEN) };
        let structures =
            [0..FOOTER_LEN as u64, header_at..header_at + HEADER_LEN as u64, self.at..self.at + header.table_len()];
        let mut starts = Vec::new();
        let mut last = None;
        let mut page = Vec::new();
        for first in (0..self.entries).step_by(PAGE_ENTRIES as usize) {
            self.read_page(storage, first, &mut page)?;
            for (index, &entry) in (first..).zip(&page).filter(|&(_, &entry)| entry != UNUSED_ENTRY) {
                let start = u64::from(entry) * SECTOR_LEN;
                let len = if index + 1 == self.entries { last_len } else { stride };
                self.check_structures(index, start..start + len, &structures)?;
                if index + 1 == self.entries {
                    last = Some(entry);
                }
                starts.push(entry);
            }
        }
        starts.sort_unstable();
        for pair in starts.windows(2) {
            let len = if Some(pair[0]) == last { last_len } else { stride };
            if u64::from(pair[1] - pair[0]) * SECTOR_LEN < len {
                let what = format!("places two blocks over each other, at sectors {} and {}", pair[0], pair[1]);
                return Err(Error::malformed(what).field("Block Allocation Table").at(self.at));
            }
        }
        Ok(Checked { allocated: starts.len() as u64 })
    }

    /// The sector of block `index`, where it is there.
    pub(crate) fn sector(&self, storage: &dyn Storage, index: u64) -> Result<Option<u32>> {
        let page = self.page(storage, index / PAGE_ENTRIES)?;
        Ok(page.get(slot(index)).copied().filter(|&entry| entry != UNUSED_ENTRY))
    }

    /// How many blocks from `index` on are not there, up to the next page of the table; at least one, where that is so
    /// of block `index`.
    pub(crate) fn unused_run(&self, storage: &dyn Storage, index: u64) -> Result<u64> {
        let page = self.page(storage, index / PAGE_ENTRIES)?;
        let entries = page.get(slot(index)..).unwrap_or_default();
        Ok(entries.iter().take_while(|&&entry| entry == UNUSED_ENTRY).count() as u64)
    }

    /// The byte at which the entry of block `index` is.
    pub(crate) fn entry_at(&self, index: u64) -> u64 {
        self.at + index * ENTRY_LEN
    }

    /// The page number `number`.
    fn page(&self, storage: &dyn Storage, number: u64) -> Result<Arc<[u32]>> {
        self.pages.get(number, || {
            let mut page = Vec::new();
            self.read_page(storage, number * PAGE_ENTRIES, &mut page)?;
            Ok(page.into())
        })
    }

    /// Reads the entries from number `first` on, as many as a page has.
    fn read_page(&self, storage: &dyn Storage, first: u64, page: &mut Vec<u32>) -> Result<()> {
        let count = self.entries.saturating_sub(first).min(PAGE_ENTRIES);
        let bytes = storage.read_vec(self.entry_at(first), usize::try_from(count * ENTRY_LEN).unwrap_or(usize::MAX))?;
        *page = be_u32s(&bytes, count);
        Ok(())
    }

    /// Checks that block `index`, which takes `bytes`, lies over none of `structures`.
    fn check_structures(&self, index: u64, bytes: Range<u64>, structures: &[Range<u64>]) -> Result<()> {
        let overlaps = |other: &&Range<u64>| other.start < bytes.end && bytes.start < other.end;
        match structures.iter().find(overlaps) {
            None => Ok(()),
            Some(other) => {
                let what = format!(
                    "entry {index} places a block at byte {}, over what bytes {} to {} hold",
                    bytes.start, other.start, other.end
                );
                Err(Error::malformed(what).field("Block Allocation Table").at(self.entry_at(index)))
            }
        }
    }
}

/// The place of block `index` within its page.
fn slot(index: u64) -> usize {
    usize::try_from(index % PAGE_ENTRIES).unwrap_or(usize::MAX)
}

/// Entries that are read at once: 16 KiB of them, for 8 GiB of guest bytes in usual blocks.
const PAGE_ENTRIES: u64 = 4096;
/// Bytes that are kept in memory, of the table as of the bitmaps of blocks, unless one of them takes more.
pub(crate) const CACHE_LEN: u64 = 1 << 20;
