//! The block map: read in pages when they are asked for, never in memory as a whole.

use std::sync::{Arc, Mutex, PoisonError};

use imgfmt_core::{Error, Result, Storage, StorageExt};

use crate::cache::Cache;
use crate::header::Header;
use crate::layout::{BLOCKS_AT, ENTRY_LEN, MAP_OFFSET_AT, ZERO};

/// Where the blocks of a disk are.
#[derive(Debug)]
pub(crate) struct BlockMap {
    /// Byte of the first entry.
    at: u64,
    /// Entries that count: the blocks of the disk.
    entries: u64,
    /// Parts of the map.
    pages: Cache<Box<[u32]>>,
    /// How many blocks the pages read so far name.
    named: Mutex<Named>,
}

/// Counts the blocks that a map names, each page once.
#[derive(Debug)]
struct Named {
    /// Bits of the pages that are counted.
    pages: Vec<u64>,
    /// Blocks that the file has room for.
    room: u64,
    /// How many of them may still be named.
    left: u64,
}

impl BlockMap {
    /// The map that `header` places. All of it lies within `storage`.
    ///
    /// # Errors
    ///
    /// [`OutOfBounds`](imgfmt_core::ErrorKind::OutOfBounds) where the file ends before the map does, and whatever
    /// [`check_distinct`](Self::check_distinct) finds.
    pub(crate) fn new(storage: &dyn Storage, header: &Header) -> Result<Self> {
        let end = header.map_offset + header.map_len();
        if end > storage.len() {
            let what = format!(
                "is {}, a map that starts at byte {} and ends at byte {end}, but the file ends at byte {}",
                header.blocks,
                header.map_offset,
                storage.len()
            );
            return Err(Error::out_of_bounds(what).field("cBlocks").at(BLOCKS_AT as u64));
        }
        let entries = header.disk_blocks();
        // The last block may be cut short by the end of the file.
        let room = storage.len().saturating_sub(header.data_offset).div_ceil(header.stride());
        let pages = usize::try_from(entries.div_ceil(PAGE_ENTRIES * 64)).unwrap_or(usize::MAX);
        let named = Mutex::new(Named { pages: vec![0; pages], room, left: room });
        let map = Self { at: header.map_offset, entries, pages: Cache::new(CACHED_PAGES), named };
        map.check_distinct(storage)?;
        Ok(map)
    }

    /// The entries from block `index` on to the end of their page; none behind the last.
    pub(crate) fn entries(&self, storage: &dyn Storage, index: u64) -> Result<(Arc<Box<[u32]>>, usize)> {
        let number = index / PAGE_ENTRIES;
        let page = self.pages.get(number, || {
            let page = self.read(storage, number * PAGE_ENTRIES, PAGE_ENTRIES)?;
            self.count(number, &page)?;
            Ok(page.into_boxed_slice())
        })?;
        Ok((page, usize::try_from(index % PAGE_ENTRIES).unwrap_or(usize::MAX)))
    }

    /// The byte at which the entry of block `index` is.
    pub(crate) fn entry_at(&self, index: u64) -> u64 {
        self.at + index * ENTRY_LEN
    }

    /// Checks that no two entries name the same block, where the map is small enough to be looked through at once.
    ///
    /// One block under many entries makes a small file a large disk. Larger maps are [counted](Self::count) as they
    /// are read, which bounds that.
    fn check_distinct(&self, storage: &dyn Storage) -> Result<()> {
        if self.entries > MAX_CHECKED {
            return Ok(());
        }
        let entries = self.read(storage, 0, self.entries)?;
        let mut named: Vec<u32> = entries.into_iter().filter(|&entry| entry < ZERO).collect();
        named.sort_unstable();
        match named.array_windows().find(|[a, b]| a == b) {
            None => Ok(()),
            Some([block, _]) => Err(self.damaged(format!("names block {block} of the file more than once"))),
        }
    }

    /// Counts the blocks that page `number` names, unless that was done before.
    fn count(&self, number: u64, page: &[u32]) -> Result<()> {
        // The counts are whole at any time, so a thread that panicked elsewhere does no harm.
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        let Named { pages, room, left } = &mut *named;
        let word = usize::try_from(number / 64).ok().and_then(|word| pages.get_mut(word));
        let Some(word) = word.filter(|word| **word >> (number % 64) & 1 == 0) else { return Ok(()) };
        // An entry beyond the file is an error of its own.
        let count = page.iter().filter(|&&entry| u64::from(entry) < *room).count() as u64;
        let Some(rest) = left.checked_sub(count) else {
            return Err(self.damaged("names more blocks than the file has room for".to_owned()));
        };
        *left = rest;
        *word |= 1 << (number % 64);
        Ok(())
    }

    /// Reads `count` entries, or as many as there are, from block `first` on.
    fn read(&self, storage: &dyn Storage, first: u64, count: u64) -> Result<Vec<u32>> {
        let count = self.entries.saturating_sub(first).min(count);
        let bytes = storage.read_vec(self.entry_at(first), usize::try_from(count * ENTRY_LEN).unwrap_or(usize::MAX))?;
        let (entries, _) = bytes.as_chunks::<4>();
        Ok(entries.iter().map(|&entry| u32::from_le_bytes(entry)).collect())
    }

    /// An error about the map as a whole.
    fn damaged(&self, what: String) -> Error {
        Error::malformed(format!("leads to a map at byte {} that {what}", self.at))
            .field("offBlocks")
            .at(MAP_OFFSET_AT as u64)
    }
}

/// Entries that are read at once: 16 KiB of them, for 4 GiB of guest bytes in usual blocks.
const PAGE_ENTRIES: u64 = 4096;
/// Pages in memory: 1 MiB of them.
const CACHED_PAGES: usize = 64;
/// Entries of the largest map that is looked through when it is opened: 1 MiB of them, a disk of 256 GiB.
const MAX_CHECKED: u64 = 1 << 18;
