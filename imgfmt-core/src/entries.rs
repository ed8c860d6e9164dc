//! A table of entries in the making, as a format with a flat table of its blocks has.

use crate::target::Target;
use crate::{Error, Result};

/// 32-bit entries, stored little-endian. Pages of which nothing has been set take no memory.
#[derive(Debug)]
pub struct Entries {
    /// The pages.
    pages: Vec<Option<Box<[u32]>>>,
    /// Entries of the table.
    len: usize,
    /// What an entry is that has not been set.
    empty: u32,
}

impl Entries {
    /// `len` entries that are `empty`.
    #[must_use]
    pub fn new(len: u32, empty: u32) -> Self {
        let len = len as usize;
        Self { pages: vec![None; len.div_ceil(PAGE_ENTRIES)], len, empty }
    }

    /// Entry `index`, to be set.
    ///
    /// # Errors
    ///
    /// [`OutOfBounds`](crate::ErrorKind::OutOfBounds) behind the end of the table.
    pub fn entry(&mut self, index: u64) -> Result<&mut u32> {
        let index = usize::try_from(index).ok().filter(|index| *index < self.len);
        let index = index.ok_or_else(|| Error::out_of_bounds("a piece lies beyond the end of the disk"))?;
        let empty = self.empty;
        let page = self.pages[index / PAGE_ENTRIES].get_or_insert_with(|| vec![empty; PAGE_ENTRIES].into_boxed_slice());
        Ok(&mut page[index % PAGE_ENTRIES])
    }

    /// Writes the table to byte `at` of `target`, a page after the other; with `skips_empty`, not those of which nothing has been
    /// set.
    ///
    /// # Errors
    ///
    /// [`Io`](crate::ErrorKind::Io) from the target.
    pub fn write(&self, target: &dyn Target, at: u64, skips_empty: bool) -> Result<()> {
        let empty = vec![self.empty; PAGE_ENTRIES];
        for (index, page) in self.pages.iter().enumerate() {
            if skips_empty && page.is_none() {
                continue;
            }
            let first = index * PAGE_ENTRIES;
            let entries = &page.as_deref().unwrap_or(&empty)[..PAGE_ENTRIES.min(self.len - first)];
            let bytes: Vec<u8> = entries.iter().flat_map(|entry| entry.to_le_bytes()).collect();
            target.write_at(&bytes, at + first as u64 * ENTRY_LEN)?;
        }
        Ok(())
    }
}

/// Bytes of an entry.
const ENTRY_LEN: u64 = 4;
/// Entries that are kept and written as one: 16 KiB of them, for 4 GiB of guest bytes in units of 1 MiB.
const PAGE_ENTRIES: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ErrorKind, MemoryTarget};

    #[test]
    fn entries_are_where_they_belong_and_the_rest_is_empty() {
        let mut entries = Entries::new(9000, 7);
        *entries.entry(0).unwrap() = 1;
        *entries.entry(8999).unwrap() = 2;
        assert_eq!(entries.entry(9000).unwrap_err().kind(), ErrorKind::OutOfBounds);
        for (skips, between) in [(false, 7), (true, 0)] {
            let target = MemoryTarget::new();
            entries.write(&target, 16, skips).unwrap();
            let bytes = target.to_vec();
            assert_eq!(bytes.len(), 16 + 4 * 9000);
            let at = |index: usize| u32::from_le_bytes(bytes[16 + 4 * index..][..4].try_into().unwrap());
            assert_eq!([at(0), at(1), at(5000), at(8998), at(8999)], [1, 7, between, 7, 2]);
        }
    }
}
