//! Putting what is in memory onto the medium, in the order in which it may be cut.

use imgfmt_core::{Error, ErrorKind, Result};

use super::disk::Disk;
use crate::layout::{
    L1_SIZE_AT, L1_TABLE_OFFSET_AT, REFCOUNT_TABLE_CLUSTERS_AT, REFCOUNT_TABLE_OFFSET_AT, SIZE_AT, TABLE_ENTRY_LEN,
};

impl Disk<'_> {
    /// Writes everything: data, refcounts that were raised, tables, refcounts that were lowered, with what was written before
    /// on the medium each time.
    ///
    /// # Errors
    ///
    /// [`Io`](imgfmt_core::ErrorKind::Io), and so for ever once it has failed: the image is left as a cut leaves it.
    pub(super) fn flush(&mut self) -> Result<()> {
        if self.failed {
            return Err(Error::new(ErrorKind::Io, "the image could not be written before, and is left as it is"));
        }
        // What fails here has put nothing onto the medium that anything refers to.
        self.settle_places()?;
        let done = self.flush_all();
        self.failed = done.is_err();
        done
    }

    /// Writes everything.
    fn flush_all(&mut self) -> Result<()> {
        if let Some(data) = &self.data {
            data.sync()?;
        }
        self.medium.sync()?;
        if self.is_dirty() {
            self.write_counts()?;
            self.write_tables()?;
            self.lower_counts()?;
        }
        Ok(())
    }

    /// Whether tables or refcounts differ from those on the medium.
    fn is_dirty(&self) -> bool {
        let tables = self.l1_dirty || self.l2.values().any(|table| table.dirty);
        tables || self.counts.is_dirty() || !self.given_up.is_empty()
    }

    /// Flushes where much is in memory.
    ///
    /// # Errors
    ///
    /// As [`flush`](Self::flush).
    pub(super) fn flush_if_large(&mut self) -> Result<()> {
        let tables = self.l2.len() * self.cluster().in_memory();
        if tables + self.counts.held() + self.given_up.len() * 8 > MAX_HELD {
            self.flush()?;
            self.l2.clear();
            self.counts.forget_clean();
        }
        Ok(())
    }

    /// Writes refcounts: blocks, then what refers to them.
    pub(super) fn write_counts(&mut self) -> Result<()> {
        if !self.counts.is_dirty() {
            return Ok(());
        }
        self.counts.write_blocks(self.medium.as_ref())?;
        self.medium.sync()?;
        if self.counts.write_table(self.medium.as_ref())? {
            self.medium.sync()?;
        }
        if std::mem::take(&mut self.counts.moved) {
            self.head.put64(REFCOUNT_TABLE_OFFSET_AT, self.counts.table_host);
            let clusters = u32::try_from(self.header.refcount_table_clusters).unwrap_or(u32::MAX);
            self.head.put32(REFCOUNT_TABLE_CLUSTERS_AT, clusters);
            self.head.write(self.medium.as_ref())?;
            self.medium.sync()?;
        }
        Ok(())
    }

    /// Writes L2 tables, then the L1 table that refers to them.
    pub(super) fn write_tables(&mut self) -> Result<()> {
        self.write_tables_but_l1()?;
        if std::mem::take(&mut self.l1_dirty) {
            self.medium.write_at(&bytes_of(&self.l1), self.l1_host)?;
            self.medium.sync()?;
        }
        Ok(())
    }

    /// Writes L2 tables.
    pub(super) fn write_tables_but_l1(&mut self) -> Result<()> {
        let mut wrote = false;
        for table in self.l2.values_mut().filter(|table| table.dirty) {
            self.medium.write_at(&bytes_of(&table.words), table.host)?;
            table.dirty = false;
            wrote = true;
        }
        if wrote {
            self.medium.sync()?;
        }
        Ok(())
    }

    /// Lowers the refcounts of what was given up, writes them, and gives space back.
    pub(super) fn lower_counts(&mut self) -> Result<()> {
        let given_up = std::mem::take(&mut self.given_up);
        let mut freed = Vec::new();
        for cluster in given_up {
            let count = self.counts.get(self.medium.as_ref(), cluster)?;
            // A count of 0 is damage that was there before; it is not made worse.
            if let Some(left) = count.checked_sub(1) {
                self.counts.set(self.medium.as_ref(), cluster, left)?;
                if left == 0 {
                    self.reserved.release(cluster);
                    freed.push(cluster);
                }
            }
        }
        self.write_counts()?;
        // As few calls as there are runs: each of them can take the file system a while.
        freed.sort_unstable();
        self.free_from = freed.first().copied().unwrap_or(u64::MAX).min(self.free_from);
        let bits = self.cluster().bits();
        self.tail = self.tail.filter(|tail| freed.binary_search(&(tail >> bits)).is_err());
        freed
            .chunk_by(|last, next| last + 1 == *next)
            .filter_map(|run| Some(run.first()? << bits..(run.last()? + 1) << bits))
            .try_for_each(|run| self.medium.clear(run))
    }

    /// Makes what the header says of the disk and its L1 table what it is in memory, in one sector.
    ///
    /// # Errors
    ///
    /// [`Io`](imgfmt_core::ErrorKind::Io).
    pub(super) fn write_header(&mut self) -> Result<()> {
        self.put_header();
        self.head.write(self.medium.as_ref())?;
        self.medium.sync()
    }

    /// Makes what the header says of the disk and its L1 table what it is, in memory.
    pub(super) fn put_header(&mut self) {
        self.head.put64(SIZE_AT, self.size);
        self.head.put32(L1_SIZE_AT, u32::try_from(self.l1.len()).unwrap_or(u32::MAX));
        self.head.put64(L1_TABLE_OFFSET_AT, self.l1_host);
    }
}

/// The bytes of a table.
pub(super) fn bytes_of(words: &[u64]) -> Vec<u8> {
    debug_assert_eq!(TABLE_ENTRY_LEN, 8, "entries are words");
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

/// Tables and refcounts that are kept in memory before they are written by themselves: 8 MiB.
const MAX_HELD: usize = 8 << 20;
