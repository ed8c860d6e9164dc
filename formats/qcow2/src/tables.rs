//! L1 and L2 tables: read in pages when they are asked for, kept in a small cache.

use std::ops::Deref;
use std::sync::Arc;

use byteorder::{BigEndian, ByteOrder};
use imgfmt_core::{Error, Pages, Result, Storage, StorageExt};

use crate::layout::TABLE_ENTRY_LEN;

/// A table of 64-bit entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Table {
    /// Host byte of the first entry.
    offset: u64,
    /// How many entries there are.
    entries: u64,
}

impl Table {
    /// The table of `entries` at host byte `offset`, all of which the file has.
    ///
    /// # Errors
    ///
    /// [`OutOfBounds`](imgfmt_core::ErrorKind::OutOfBounds) where the file ends before the table does.
    pub(crate) fn new(offset: u64, entries: u64, file_len: u64) -> Result<Self> {
        let end = offset.saturating_add(entries * TABLE_ENTRY_LEN);
        if end > file_len {
            let what = format!("is {offset}, a table that ends at byte {end}, but the file ends at byte {file_len}");
            return Err(Error::out_of_bounds(what));
        }
        Ok(Self::padded(offset, entries))
    }

    /// The table of `entries` at host byte `offset`; those that the file does not have are read as 0, which
    /// the caller knows to be right, since a cut table would pass for an empty disk.
    pub(crate) fn padded(offset: u64, entries: u64) -> Self {
        Self { offset, entries }
    }

    /// How many entries there are.
    pub(crate) fn entries(self) -> u64 {
        self.entries
    }

    /// Host byte of entry `index`.
    pub(crate) fn entry_at(self, index: u64) -> u64 {
        self.offset + index * TABLE_ENTRY_LEN
    }

    /// The page that entry `index` is in.
    fn page(self, index: u64) -> Page {
        let first = index / PAGE_ENTRIES * PAGE_ENTRIES;
        Page { offset: self.entry_at(first), entries: (self.entries - first).min(PAGE_ENTRIES) as usize }
    }
}

/// Part of a table that is read as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Page {
    /// Host byte of its first entry.
    offset: u64,
    /// How many entries it has.
    entries: usize,
}

/// The entries of a table from some entry on, to the end of its page.
#[derive(Debug)]
pub(crate) struct Entries {
    /// The page.
    page: Arc<[u64]>,
    /// Entries of the page that lie before.
    skip: usize,
}

impl Deref for Entries {
    type Target = [u64];

    fn deref(&self) -> &[u64] {
        &self.page[self.skip..]
    }
}

/// Reads tables, and remembers the pages used last.
#[derive(Debug)]
pub(crate) struct Tables {
    /// The pages of all tables.
    pages: Pages<Page, [u64]>,
}

impl Default for Tables {
    fn default() -> Self {
        Self { pages: Pages::within(CACHE_LEN, PAGE_ENTRIES * TABLE_ENTRY_LEN) }
    }
}

impl Tables {
    /// The entries of `table` from `index` on, which is one of them; at least one, at most a page.
    ///
    /// # Errors
    ///
    /// [`Io`](imgfmt_core::ErrorKind::Io) where the storage cannot be read.
    pub(crate) fn entries(&self, storage: &dyn Storage, table: Table, index: u64) -> Result<Entries> {
        let skip = (index % PAGE_ENTRIES) as usize;
        let page = table.page(index);
        let page = self.pages.get(page, || read_page(storage, page))?;
        Ok(Entries { page, skip })
    }
}

/// Reads the entries of a page. Only a [padded](Table::padded) table has entries behind the end of the file.
fn read_page(storage: &dyn Storage, page: Page) -> Result<Arc<[u64]>> {
    let mut bytes = vec![0; page.entries * TABLE_ENTRY_LEN as usize];
    storage.read_padded(&mut bytes, page.offset)?;
    Ok(bytes.chunks_exact(TABLE_ENTRY_LEN as usize).map(BigEndian::read_u64).collect())
}

/// Entries of a page: 64 KiB, the whole L2 table of the usual cluster.
const PAGE_ENTRIES: u64 = 8192;
/// Bytes of pages in memory: 4 MiB.
const CACHE_LEN: u64 = 4 << 20;

#[cfg(test)]
mod tests {
    use imgfmt_core::{ErrorKind, MemoryStorage};

    use super::*;

    /// Big-endian entries that count up from 0.
    fn counting(entries: u64) -> MemoryStorage {
        MemoryStorage::new((0..entries).flat_map(u64::to_be_bytes).collect::<Vec<_>>())
    }

    #[test]
    fn entries_come_from_their_index_to_the_end_of_the_page() {
        let (storage, tables) = (counting(3 * PAGE_ENTRIES), Tables::default());
        let table = Table::new(8, 2 * PAGE_ENTRIES + 5, storage.len()).unwrap();
        for (index, len) in [(0, PAGE_ENTRIES), (PAGE_ENTRIES - 1, 1), (2 * PAGE_ENTRIES + 3, 2)] {
            let entries = tables.entries(&storage, table, index).unwrap();
            assert_eq!((entries[0], entries.len() as u64), (index + 1, len));
        }
    }

    #[test]
    fn a_table_has_to_be_in_the_file() {
        assert!(Table::new(512, 64, 1024).is_ok());
        assert_eq!(Table::new(512, 64, 1023).unwrap_err().kind(), ErrorKind::OutOfBounds);
        assert_eq!(Table::new(u64::MAX - 511, 64, 1024).unwrap_err().kind(), ErrorKind::OutOfBounds);
        let padded = Tables::default().entries(&counting(3), Table::padded(8, 4), 0).unwrap();
        assert_eq!(*padded, [1, 2, 0, 0]);
    }
}
