//! The host clusters that a state of the disk uses.

use imgfmt_core::Result;

use super::disk::{Disk, read_table};
use crate::entry::Entry;
use crate::layout::{COMPRESSED, COPIED, OFFSET_MASK};

impl Disk<'_> {
    /// Hands every use of a cluster by the L1 table `l1` to `visit`: its L2 tables, and all that they refer to. Of a compressed
    /// cluster, each cluster that it touches.
    ///
    /// # Errors
    ///
    /// What reading tables meets, and what `visit` says.
    pub(super) fn visit_uses(&mut self, l1: &[u64], visit: &mut dyn FnMut(&mut Self, u64) -> Result<()>) -> Result<()> {
        let bits = self.cluster().bits();
        for entry in l1 {
            let table = entry & OFFSET_MASK;
            if table == 0 {
                continue;
            }
            let words = self.words_at(table)?;
            visit(self, table >> bits)?;
            for word in words.iter().step_by(1 << self.header.l2.entry_word_bits()) {
                self.visit_word(*word, visit)?;
            }
        }
        Ok(())
    }

    /// The words of the L2 table at host byte `host`.
    ///
    /// # Errors
    ///
    /// What reading meets.
    pub(super) fn words_at(&self, host: u64) -> Result<Vec<u64>> {
        read_table(self.medium.as_ref(), host, self.header.l2.words(), &self.context)
    }

    /// Hands the clusters that an entry uses to `visit`.
    fn visit_word(&mut self, word: u64, visit: &mut dyn FnMut(&mut Self, u64) -> Result<()>) -> Result<()> {
        let bits = self.cluster().bits();
        if word & COMPRESSED == 0 {
            let host = word & OFFSET_MASK;
            return if host == 0 { Ok(()) } else { visit(self, host >> bits) };
        }
        if let Entry::Compressed { host, stored_len } = self.rules.decode(word)? {
            for cluster in host >> bits..(host + u64::from(stored_len)).div_ceil(1 << bits) {
                visit(self, cluster)?;
            }
        }
        Ok(())
    }

    /// Makes the flags that say that a cluster is used once what the refcounts say, in the active tables: set where `set`, else
    /// cleared.
    ///
    /// # Errors
    ///
    /// What reading meets.
    pub(super) fn correct_copied(&mut self) -> Result<()> {
        let step = 1usize << self.header.l2.entry_word_bits();
        for index in 0..self.l1.len() {
            let host = self.l1[index] & OFFSET_MASK;
            if host == 0 {
                continue;
            }
            let corrected = self.with_copied(self.l1[index], host)?;
            if corrected != self.l1[index] {
                self.l1[index] = corrected;
                self.l1_dirty = true;
            }
            let count = self.l2_table(index)?.map_or(0, |table| table.words.len());
            for word in (0..count).step_by(step) {
                let raw = self.l2_table(index)?.map_or(0, |table| table.words[word]);
                let host = raw & OFFSET_MASK;
                if raw & COMPRESSED != 0 || host == 0 {
                    continue;
                }
                let corrected = self.with_copied(raw, host)?;
                if corrected != raw
                    && let Some(table) = self.l2_table(index)?
                {
                    table.words[word] = corrected;
                    table.dirty = true;
                }
            }
            self.write_if_large()?;
        }
        Ok(())
    }

    /// An entry with the flag that its cluster's refcount asks for.
    fn with_copied(&mut self, raw: u64, host: u64) -> Result<u64> {
        Ok(if self.uses(host)? == 1 { raw | COPIED } else { raw & !COPIED })
    }

    /// Writes L2 tables that have changed in place, and forgets them, where there are many.
    fn write_if_large(&mut self) -> Result<()> {
        if self.l2.len() * self.cluster().in_memory() > MAX_TABLES {
            self.write_tables_but_l1()?;
            self.l2.clear();
        }
        Ok(())
    }
}

/// Bytes of tables that are kept in memory: 8 MiB.
const MAX_TABLES: usize = 8 << 20;
