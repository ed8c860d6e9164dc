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
            let Some(table) = self.l2_table(index)? else { continue };
            // The table is not in the disk while its words are looked at.
            let mut words = std::mem::take(&mut table.words);
            let changed = self.correct_words(&mut words);
            if let Some(table) = self.l2_table(index)? {
                table.words = words;
                table.dirty |= changed?;
            }
            self.write_if_large()?;
        }
        Ok(())
    }

    /// Makes the flags in the words of a table what the refcounts say; whether any was not.
    fn correct_words(&mut self, words: &mut [u64]) -> Result<bool> {
        let mut changed = false;
        for word in words.iter_mut().step_by(1 << self.header.l2.entry_word_bits()) {
            let host = *word & OFFSET_MASK;
            if *word & COMPRESSED == 0 && host != 0 {
                let corrected = self.with_copied(*word, host)?;
                changed |= corrected != std::mem::replace(word, corrected);
            }
        }
        Ok(changed)
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
