//! The bits of bitmaps: read, stored, and made those of a disk of another size.

use std::ops::Range;

use imgfmt_core::{Error, Limits, Result, StorageExt};

use super::directory::Entry;
use super::disk::{Disk, read_table};
use super::flush::bytes_of;
use crate::layout::{BITMAP_ALL_ONES, MAX_BITMAP_LEN, OFFSET_MASK, TABLE_ENTRY_LEN};

/// The bits of a bitmap in memory.
pub(super) struct Bits {
    /// Guest bytes that one bit stands for.
    granularity: u64,
    /// The bits, from the lowest of the first byte on.
    bytes: Vec<u8>,
}

impl Bits {
    /// Sets the bits of all granules that `range` touches.
    pub(super) fn set(&mut self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        let last = (range.end - 1) / self.granularity;
        for granule in range.start / self.granularity..=last {
            let byte = usize::try_from(granule / 8).unwrap_or(usize::MAX);
            if let Some(byte) = self.bytes.get_mut(byte) {
                *byte |= 1 << (granule % 8);
            }
        }
    }

    /// Clears the bits of all granules from `first` on.
    fn clear_from(&mut self, first: u64) {
        let byte = usize::try_from(first / 8).unwrap_or(usize::MAX);
        if let Some(rest) = self.bytes.get_mut(byte..)
            && let Some((partial, whole)) = rest.split_first_mut()
        {
            *partial &= (1 << (first % 8)) - 1;
            whole.fill(0);
        }
    }
}

impl Disk<'_> {
    /// The bits of a bitmap of that granularity for a disk of `size` bytes, none of them set.
    pub(super) fn no_bits(&self, granularity: u64, size: u64) -> Result<Bits> {
        let len = size.div_ceil(granularity).div_ceil(8);
        Limits::check("bitmap", len, MAX_BITMAP_LEN)?;
        let len = usize::try_from(len).map_err(|_| Error::limit("a bitmap does not fit into memory"))?;
        Ok(Bits { granularity, bytes: vec![0; len] })
    }

    /// The bits of a bitmap, whose disk has `size` bytes.
    pub(super) fn bits(&self, entry: &Entry, size: u64) -> Result<Bits> {
        let mut bits = self.no_bits(entry.granularity(), size)?;
        let (host, entries) = entry.table();
        let table = read_table(self.medium.as_ref(), host, entries, &self.context)?;
        for (chunk, word) in bits.bytes.chunks_mut(self.cluster().in_memory()).zip(table) {
            match word & OFFSET_MASK {
                0 if word & BITMAP_ALL_ONES != 0 => chunk.fill(0xff),
                0 => {}
                host => {
                    self.medium.read_padded(chunk, host)?;
                }
            }
        }
        Ok(bits)
    }

    /// Stores other bits for a bitmap, and gives up those that it had.
    pub(super) fn replace_bits(&mut self, entry: &mut Entry, bits: &Bits) -> Result<()> {
        self.give_up_bits(entry)?;
        self.store_bits(entry, bits)
    }

    /// Stores bits in new clusters.
    pub(super) fn store_bits(&mut self, entry: &mut Entry, bits: &Bits) -> Result<()> {
        let unit = self.cluster().in_memory();
        let mut table = Vec::new();
        for chunk in bits.bytes.chunks(unit) {
            if chunk.iter().all(|byte| *byte == 0) {
                table.push(0);
                continue;
            }
            let host = self.take()?;
            let mut cluster = chunk.to_vec();
            cluster.resize(unit, 0);
            self.medium.write_at(&cluster, host)?;
            table.push(host);
        }
        if table.is_empty() {
            entry.set_table(0, 0);
            return Ok(());
        }
        let host = self.take_run((table.len() as u64 * TABLE_ENTRY_LEN).div_ceil(self.cluster().len()))?;
        self.medium.write_at(&bytes_of(&table), host)?;
        entry.set_table(host, table.len() as u64);
        Ok(())
    }

    /// Gives up the table of a bitmap and its bits.
    pub(super) fn give_up_bits(&mut self, entry: &Entry) -> Result<()> {
        let (host, entries) = entry.table();
        let table = read_table(self.medium.as_ref(), host, entries, &self.context)?;
        for word in table.iter().map(|word| word & OFFSET_MASK).filter(|host| *host != 0) {
            self.give_up(word >> self.cluster().bits());
        }
        if entries > 0 {
            self.give_up_bytes(host, entries * TABLE_ENTRY_LEN);
        }
        Ok(())
    }

    /// Makes the header say how large the disk is, which had `before` bytes, and where its L1 table is; and gives all bitmaps as
    /// many bits as it needs, in the same write.
    ///
    /// # Errors
    ///
    /// As [`switch_directory`](Self::switch_directory).
    pub(super) fn switch_size(&mut self, before: u64) -> Result<()> {
        self.record.cut(self.size);
        if self.record.is_empty() || before == self.size {
            return self.write_header();
        }
        let mut entries = self.directory()?;
        for entry in &mut entries {
            self.resize_bits(entry, before)?;
        }
        self.switch_directory(&entries)
    }

    /// Gives a bitmap as many bits as the disk needs, which had `before` bytes: those that stay are as they were, others are clear.
    fn resize_bits(&mut self, entry: &mut Entry, before: u64) -> Result<()> {
        let granularity = entry.granularity();
        let old = self.bits(entry, before)?;
        let mut new = self.no_bits(granularity, self.size)?;
        let kept = old.bytes.len().min(new.bytes.len());
        new.bytes[..kept].copy_from_slice(&old.bytes[..kept]);
        new.clear_from(before.min(self.size).div_ceil(granularity));
        let is_same = old.bytes[..kept] == new.bytes[..kept] && old.bytes[kept..].iter().all(|byte| *byte == 0);
        let entries = new.bytes.len().div_ceil(self.cluster().in_memory()) as u64;
        if is_same && entries == entry.table().1 { Ok(()) } else { self.replace_bits(entry, &new) }
    }
}
