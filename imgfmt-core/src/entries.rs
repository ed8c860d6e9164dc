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

    /// Writes the table to byte `at` of `target`; with `skips_empty`, without the pages of which nothing has been set.
    ///
    /// # Errors
    ///
    /// [`Io`](crate::ErrorKind::Io) from the target.
    pub fn write(&self, target: &dyn Target, at: u64, skips_empty: bool) -> Result<()> {
        let empty = vec![self.empty; PAGE_ENTRIES];
        let run = if skips_empty { 1 } else { RUN_PAGES.min(self.pages.len()).max(1) };
        let mut bytes = vec![0; run * PAGE_LEN];
        bytes.chunks_exact_mut(PAGE_LEN).for_each(|page| put(&empty, page));
        let mut is_empty = vec![true; run];
        for (first, pages) in (0..).step_by(run).zip(self.pages.chunks(run)) {
            if skips_empty && pages.iter().all(Option::is_none) {
                continue;
            }
            for ((page, place), was_empty) in pages.iter().zip(bytes.chunks_exact_mut(PAGE_LEN)).zip(&mut is_empty) {
                if page.is_some() || !*was_empty {
                    put(page.as_deref().unwrap_or(&empty), place);
                }
                *was_empty = page.is_none();
            }
            let len = (self.len * size_of::<u32>() - first * PAGE_LEN).min(pages.len() * PAGE_LEN);
            target.write_at(&bytes[..len], at + (first * PAGE_LEN) as u64)?;
        }
        Ok(())
    }
}

/// Puts `entries` into `bytes`, as they are stored.
fn put(entries: &[u32], bytes: &mut [u8]) {
    for (entry, place) in entries.iter().zip(bytes.chunks_exact_mut(size_of::<u32>())) {
        place.copy_from_slice(&entry.to_le_bytes());
    }
}

/// Entries that are kept as one: 16 KiB of them, for 4 GiB of guest bytes in units of 1 MiB.
const PAGE_ENTRIES: usize = 4096;
/// Bytes of a page.
const PAGE_LEN: usize = PAGE_ENTRIES * size_of::<u32>();
/// Pages that are written as one: 256 KiB, which stay close to the processor.
const RUN_PAGES: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ErrorKind, MemoryTarget};

    #[test]
    fn a_table_of_many_pages_is_the_same_in_runs() {
        let len = PAGE_ENTRIES * (2 * RUN_PAGES + 3) + 5;
        let mut entries = Entries::new(u32::try_from(len).unwrap(), 9);
        let mut expected = vec![9u32; len];
        for index in [3, PAGE_ENTRIES + 1, PAGE_ENTRIES * RUN_PAGES * 2, len - 1] {
            *entries.entry(index as u64).unwrap() = 1;
            expected[index] = 1;
        }
        let target = MemoryTarget::new();
        entries.write(&target, 8, false).unwrap();
        let bytes: Vec<u8> = expected.iter().flat_map(|entry| entry.to_le_bytes()).collect();
        assert!(target.to_vec()[8..] == bytes);
    }

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
