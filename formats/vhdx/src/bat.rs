//! The block allocation table: the pages of it that were read last.

use std::ops::Range;
use std::sync::Arc;

use byteorder::{ByteOrder, LittleEndian};
use imgfmt_core::{Error, Pages, Result, Storage, StorageExt};

use crate::geometry::Geometry;
use crate::layout::BAT_ENTRY_LEN;

/// The table of an image.
#[derive(Debug)]
pub(crate) struct Bat {
    /// Host byte of the first entry.
    offset: u64,
    /// How many entries there are.
    entries: u64,
    /// The pages, by number.
    pages: Pages<u64, [u64]>,
}

/// Entries from some index on.
#[derive(Debug)]
pub(crate) enum Entries {
    /// As they are in the file, to the end of a page.
    Stored {
        /// The page.
        page: Arc<[u64]>,
        /// Entries of the page that lie before.
        skip: usize,
    },
    /// This many entries that are 0, since the file has a hole there.
    Hole(u64),
}

impl Bat {
    /// The table of an image of this geometry in `region`.
    ///
    /// # Errors
    ///
    /// [`Malformed`](imgfmt_core::ErrorKind::Malformed) where the region is too short,
    /// [`OutOfBounds`](imgfmt_core::ErrorKind::OutOfBounds) where the file is.
    pub(crate) fn new(region: &Range<u64>, geometry: &Geometry, file_len: u64) -> Result<Self> {
        let entries = geometry.entries();
        let len = entries * BAT_ENTRY_LEN;
        if len > region.end - region.start {
            let what =
                format!("the block allocation table has {entries} entries, more than its region {region:?} holds");
            return Err(Error::malformed(what).at(region.start));
        }
        let end = region.start + len;
        if end > file_len {
            let what = format!("the block allocation table ends at byte {end}, but the file ends at byte {file_len}");
            return Err(Error::out_of_bounds(what).at(region.start));
        }
        let pages = Pages::within(CACHE_LEN, PAGE_ENTRIES * BAT_ENTRY_LEN);
        Ok(Self { offset: region.start, entries, pages })
    }

    /// Host byte of entry `index`.
    pub(crate) fn entry_at(&self, index: u64) -> u64 {
        self.offset + index * BAT_ENTRY_LEN
    }

    /// The entries from `index` on, which is one of them: at least one.
    ///
    /// # Errors
    ///
    /// [`Io`](imgfmt_core::ErrorKind::Io) where the storage cannot be read.
    pub(crate) fn from(&self, storage: &dyn Storage, index: u64) -> Result<Entries> {
        let (number, skip) = (index / PAGE_ENTRIES, (index % PAGE_ENTRIES) as usize);
        if let Some(page) = self.pages.held(&number) {
            return Ok(Entries::Stored { page, skip });
        }
        let segment = storage.segment(self.entry_at(index))?;
        if segment.hole && segment.len.get() >= BAT_ENTRY_LEN {
            return Ok(Entries::Hole((segment.len.get() / BAT_ENTRY_LEN).min(self.entries - index)));
        }
        let page = self.pages.get(number, || self.read_page(storage, number))?;
        Ok(Entries::Stored { page, skip })
    }

    /// Entry `index` alone.
    ///
    /// # Errors
    ///
    /// As [`from`](Self::from).
    pub(crate) fn entry(&self, storage: &dyn Storage, index: u64) -> Result<u64> {
        Ok(match self.from(storage, index)? {
            Entries::Stored { page, skip } => page[skip],
            Entries::Hole(_) => 0,
        })
    }

    /// Reads page `number`.
    fn read_page(&self, storage: &dyn Storage, number: u64) -> Result<Arc<[u64]>> {
        let first = number * PAGE_ENTRIES;
        let count = (self.entries - first).min(PAGE_ENTRIES) as usize;
        let bytes = storage.read_vec(self.entry_at(first), count * BAT_ENTRY_LEN as usize)?;
        Ok(bytes.chunks_exact(BAT_ENTRY_LEN as usize).map(LittleEndian::read_u64).collect())
    }
}

/// Entries of a page: 64 KiB.
const PAGE_ENTRIES: u64 = 8192;
/// Bytes of pages in memory: 2 MiB.
const CACHE_LEN: u64 = 2 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use imgfmt_core::{ErrorKind, MemoryStorage};

    fn geometry(size: u64, block_len: u64, differencing: bool) -> Geometry {
        Geometry { size, block_len, sector_len: 512, differencing }
    }

    #[test]
    fn entries_come_to_the_end_of_their_page() {
        let storage = MemoryStorage::new((0..20_000u64).flat_map(u64::to_le_bytes).collect::<Vec<_>>());
        let bat = Bat::new(&(8..1 << 20), &geometry(9000 << 20, 1 << 20, false), storage.len()).unwrap();
        for (index, len) in [(0, PAGE_ENTRIES), (PAGE_ENTRIES - 1, 1), (PAGE_ENTRIES + 3, 9002 - PAGE_ENTRIES - 3)] {
            let Entries::Stored { page, skip } = bat.from(&storage, index).unwrap() else { panic!("there is no hole") };
            assert_eq!((page[skip], (page.len() - skip) as u64), (index + 1, len));
        }
        let error = Bat::new(&(8..100), &geometry(9000 << 20, 1 << 20, false), storage.len()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Malformed);
        let error = Bat::new(&(8..1 << 30), &geometry(30_000 << 20, 1 << 20, false), storage.len()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OutOfBounds);
    }
}
