//! Is a file that ends inside an L2 table whole, or was it cut?
//!
//! The entries that the file does not have would be read as zeros. They are known to be zero when the
//! refcounts count as many uses of clusters as the entries make that the file does have: an entry that
//! was cut off would be a use too many. Where that cannot be known, the file counts as cut.

use imgfmt_core::{Error, Result, StorageExt};

use crate::data_file::DataPlace;
use crate::entry::Entry;
use crate::image::Qcow2Image;
use crate::layout::{HeaderExtension, OFFSET_MASK, TABLE_ENTRY_LEN};
use crate::tables::Table;

impl Qcow2Image {
    /// Whether no L2 entry but empty ones can have been cut off.
    pub(crate) fn is_whole(&self) -> bool {
        *self.whole.get_or_init(|| self.find_whole().unwrap_or(false))
    }

    /// As [`is_whole`](Self::is_whole), with an error where tables cannot be read.
    fn find_whole(&self) -> Result<bool> {
        // Zero clusters without a host cluster are not counted, and hide the parent; stale refcounts count
        // nothing; snapshots and bitmaps use clusters that are not looked at here.
        let uncountable = self.parent.is_some()
            || self.header.features.dirty()
            || self.header.nb_snapshots > 0
            || self.header.extensions.find(HeaderExtension::BITMAPS).is_some()
            || !self.file().len().is_multiple_of(TABLE_ENTRY_LEN << self.header.l2.entry_word_bits());
        if uncountable {
            return Ok(false);
        }
        let (blocks, counted) = self.refcounts()?;
        let l1_clusters = (u64::from(self.header.l1_size) * TABLE_ENTRY_LEN).div_ceil(self.header.cluster.len());
        let luks_clusters = self.header.crypt.header_clusters(self.header.cluster);
        let used =
            1 + luks_clusters + self.header.refcount_table_clusters + blocks + l1_clusters + self.mapped_clusters()?;
        Ok(used == counted)
    }

    /// How many refcount blocks there are, and the sum of all refcounts in them.
    fn refcounts(&self) -> Result<(u64, u64)> {
        let len = self.header.refcount_table_clusters * self.header.cluster.len();
        let table = Table::new(self.header.refcount_table_offset, len / TABLE_ENTRY_LEN, self.file().len())?;
        let mut block = vec![0; self.header.cluster.in_memory()];
        let (mut blocks, mut sum) = (0, 0u64);
        self.each_entry(table, &mut |offset| {
            blocks = self.one_more(blocks)?;
            self.file().read_padded(&mut block, offset)?;
            sum = sum.saturating_add(sum_of(&block, self.header.refcount_order));
            Ok(())
        })?;
        Ok((blocks, sum))
    }

    /// How many times the L2 tables and their entries use a host cluster.
    fn mapped_clusters(&self) -> Result<u64> {
        let (mut tables, mut uses) = (0, 0);
        self.each_entry(self.l1, &mut |entry| {
            tables = self.one_more(tables)?;
            let table = Table::padded(entry & OFFSET_MASK, self.header.l2.words());
            self.each_word(table, &mut |index, word| {
                let bitmap = self.header.l2.extended() && index % 2 == 1;
                uses += if bitmap { 0 } else { self.uses(word)? };
                Ok(())
            })
        })?;
        Ok(tables + uses)
    }

    /// How many times an L2 entry uses a host cluster; those of a data file are not counted.
    fn uses(&self, entry: u64) -> Result<u64> {
        let bits = self.header.cluster.bits();
        Ok(match self.rules.decode(entry)? {
            Entry::Compressed { host, stored_len } => ((host + u64::from(stored_len) - 1) >> bits) - (host >> bits) + 1,
            // A zero cluster may keep its host cluster.
            _ => u64::from(entry & OFFSET_MASK != 0 && self.data == DataPlace::Inside),
        })
    }

    /// Calls `visit` with every entry of `table` that is not 0.
    fn each_entry(&self, table: Table, visit: &mut dyn FnMut(u64) -> Result<()>) -> Result<()> {
        self.each_word(table, &mut |_, entry| visit(entry))
    }

    /// Calls `visit` with the index and the value of every word of `table` that is not 0.
    fn each_word(&self, table: Table, visit: &mut dyn FnMut(u64, u64) -> Result<()>) -> Result<()> {
        let mut index = 0;
        while index < table.entries() {
            let words = self.tables.entries(self.file(), table, index)?;
            (index..)
                .zip(words.iter())
                .filter(|(_, word)| **word != 0)
                .try_for_each(|(index, word)| visit(index, *word))?;
            index += words.len() as u64;
        }
        Ok(())
    }

    /// `count` and one more, unless that is more than the file has clusters: tables that overlap could
    /// keep a reader busy for ever.
    fn one_more(&self, count: u64) -> Result<u64> {
        if count > self.file().len() >> self.header.cluster.bits() {
            return Err(Error::malformed("there are more tables than clusters in the file"));
        }
        Ok(count + 1)
    }
}

/// The sum of the refcounts in a block, each of `1 << order` bits.
fn sum_of(block: &[u8], order: u32) -> u64 {
    let width = 1 << order;
    if width < 8 {
        let mask = (1u8 << width) - 1;
        let of_byte = |byte: u8| (0..8 / width).map(|index| u64::from(byte >> (index * width) & mask)).sum::<u64>();
        return block.iter().map(|&byte| of_byte(byte)).sum();
    }
    let number = |bytes: &[u8]| bytes.iter().fold(0u64, |number, &byte| number << 8 | u64::from(byte));
    block.chunks_exact(width / 8).fold(0, |sum, bytes| sum.saturating_add(number(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refcounts_of_every_width_are_summed() {
        let block = [0x00, 0x01, 0x80, 0x00, 0x00, 0x00, 0x00, 0x02];
        for (order, sum) in [(0, 3), (1, 1 + 2 + 2), (2, 1 + 8 + 2), (3, 1 + 128 + 2), (4, 1 + 0x8000 + 2)] {
            assert_eq!(sum_of(&block, order), sum, "{order}");
        }
        assert_eq!(sum_of(&block, 5), 0x0001_8000 + 2);
        assert_eq!(sum_of(&block, 6), 0x0001_8000_0000_0002);
    }
}
