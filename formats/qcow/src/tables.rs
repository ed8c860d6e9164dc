//! L1 and L2 tables: read in pages when they are asked for, kept in a small cache.

use imgfmt_core::{Error, Result, Storage, StorageExt};

use crate::cache::Cache;
use crate::layout::ENTRY_LEN;

/// A table of 64-bit entries, all of which the file has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Table {
    /// Host byte of the first entry.
    at: u64,
    /// How many entries there are.
    entries: u64,
}

impl Table {
    /// The table of `entries` at host byte `at` of a file of `file_len` bytes.
    ///
    /// # Errors
    ///
    /// [`OutOfBounds`](imgfmt_core::ErrorKind::OutOfBounds) where the file ends before the table does.
    pub(crate) fn new(at: u64, entries: u64, file_len: u64) -> Result<Self> {
        let end = at.saturating_add(entries.saturating_mul(ENTRY_LEN));
        if end > file_len {
            let what = format!("is {at}, a table that ends at byte {end}, but the file ends at byte {file_len}");
            return Err(Error::out_of_bounds(what));
        }
        Ok(Self { at, entries })
    }

    /// Host byte of entry `index`.
    pub(crate) fn entry_at(self, index: u64) -> u64 {
        self.at + index * ENTRY_LEN
    }
}

/// Reads tables, and remembers the pages used last.
#[derive(Debug)]
pub(crate) struct Tables(Cache<Page>);

/// Part of a table.
#[derive(Debug)]
struct Page {
    /// Its entries.
    entries: Box<[u64]>,
}

impl Tables {
    /// Remembers nothing yet.
    pub(crate) fn new() -> Self {
        Self(Cache::new(CACHED_PAGES))
    }

    /// Calls `visit` with the entries of `table` from `index` on, which is one of them: at least one, at most a page.
    ///
    /// # Errors
    ///
    /// [`Io`](imgfmt_core::ErrorKind::Io) where the storage cannot be read, and what `visit` returns.
    pub(crate) fn visit<T>(
        &self,
        storage: &dyn Storage,
        table: Table,
        index: u64,
        visit: impl FnOnce(&[u64]) -> Result<T>,
    ) -> Result<T> {
        let first = index / PAGE_ENTRIES * PAGE_ENTRIES;
        let at = table.entry_at(first);
        // Tables may lie at any byte, and two may share a page's start but not its length: the last page of one.
        let count = table.entries.saturating_sub(first).min(PAGE_ENTRIES);
        let page = self.0.get((at, count), || read(storage, at, count))?;
        visit(page.entries.get(usize::try_from(index - first).unwrap_or(usize::MAX)..).unwrap_or_default())
    }
}

/// Reads `count` entries at host byte `at`.
fn read(storage: &dyn Storage, at: u64, count: u64) -> Result<Page> {
    let bytes = storage.read_vec(at, usize::try_from(count * ENTRY_LEN).unwrap_or(usize::MAX))?;
    let (entries, _) = bytes.as_chunks::<8>();
    Ok(Page { entries: entries.iter().map(|&entry| u64::from_be_bytes(entry)).collect() })
}

/// Entries of a page: 16 KiB of them.
const PAGE_ENTRIES: u64 = 2048;
/// Pages in memory: 1 MiB of them.
const CACHED_PAGES: usize = 64;

#[cfg(test)]
mod tests {
    use imgfmt_core::{ErrorKind, MemoryStorage};

    use super::*;

    #[test]
    fn entries_come_from_their_index_to_the_end_of_the_page() {
        let bytes: Vec<u8> = (0..3 * PAGE_ENTRIES).flat_map(u64::to_be_bytes).collect();
        let (storage, tables) = (MemoryStorage::new(bytes), Tables::new());
        let table = Table::new(8, 2 * PAGE_ENTRIES + 5, storage.len()).unwrap();
        for (index, len) in [(0, PAGE_ENTRIES), (PAGE_ENTRIES - 1, 1), (2 * PAGE_ENTRIES + 3, 2)] {
            let seen = tables.visit(&storage, table, index, |entries| Ok((entries[0], entries.len() as u64)));
            assert_eq!(seen.unwrap(), (index + 1, len));
        }
    }

    #[test]
    fn a_table_has_to_be_in_the_file() {
        assert!(Table::new(512, 64, 1024).is_ok());
        assert_eq!(Table::new(512, 64, 1023).unwrap_err().kind(), ErrorKind::OutOfBounds);
        assert_eq!(Table::new(u64::MAX - 7, u64::MAX, 1024).unwrap_err().kind(), ErrorKind::OutOfBounds);
    }
}
