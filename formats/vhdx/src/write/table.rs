//! The block allocation table of a new image: written a page at a time, since entries come in order.

use imgfmt_core::{Result, Target};

use crate::layout::BAT_ENTRY_LEN;

/// The table in the making.
#[derive(Debug)]
pub(super) struct Table {
    /// Host byte of the first entry.
    offset: u64,
    /// The page that entries go to.
    page: u64,
    /// Its entries; none until one is not 0.
    entries: Vec<u64>,
}

impl Table {
    /// The table at host byte `offset`, where everything is 0.
    pub(super) fn new(offset: u64) -> Self {
        Self { offset, page: 0, entries: Vec::new() }
    }

    /// Sets entry `index`; later calls name it or later ones.
    ///
    /// # Errors
    ///
    /// [`Io`](imgfmt_core::ErrorKind::Io) where a page that is complete cannot be written.
    pub(super) fn set(&mut self, index: u64, entry: u64, target: &dyn Target) -> Result<()> {
        let (page, slot) = (index / PAGE_ENTRIES, (index % PAGE_ENTRIES) as usize);
        if page != self.page {
            self.flush(target)?;
            self.page = page;
        }
        if self.entries.is_empty() {
            self.entries.resize(PAGE_ENTRIES as usize, 0);
        }
        self.entries[slot] = entry;
        Ok(())
    }

    /// Writes the page that entries go to.
    ///
    /// # Errors
    ///
    /// [`Io`](imgfmt_core::ErrorKind::Io) from the target.
    pub(super) fn flush(&mut self, target: &dyn Target) -> Result<()> {
        if self.entries.is_empty() {
            return Ok(());
        }
        let bytes: Vec<u8> = self.entries.drain(..).flat_map(u64::to_le_bytes).collect();
        target.write_at(&bytes, self.offset + self.page * PAGE_ENTRIES * BAT_ENTRY_LEN)
    }
}

/// Entries of a page: 64 KiB, of which a region holds a whole number.
const PAGE_ENTRIES: u64 = 8192;
