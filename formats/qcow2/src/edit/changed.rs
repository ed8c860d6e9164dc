//! What differs between the active state and that of a snapshot, for the bitmaps that record.

use imgfmt_core::Result;

use super::disk::Disk;
use crate::layout::{COMPRESSED, COPIED, OFFSET_MASK};

impl Disk<'_> {
    /// Records that the disk becomes that of the L1 table `l1`, with `size` bytes: all clusters whose entries are not the same, and
    /// all that comes to the disk.
    ///
    /// # Errors
    ///
    /// What reading tables meets.
    pub(super) fn mark_changed(&mut self, l1: &[u64], size: u64) -> Result<()> {
        if !self.record.records() {
            return Ok(());
        }
        let common = size.min(self.size);
        self.record.mark(common..size);
        let bits = self.header.l2.span_bits();
        let tables = usize::try_from(common.div_ceil(1 << bits)).unwrap_or(usize::MAX);
        for index in 0..tables {
            let table = |l1: &[u64]| l1.get(index).copied().unwrap_or(0) & OFFSET_MASK;
            let (old, new) = (table(&self.l1), table(l1));
            if old != new {
                self.mark_entries(old, new, (index as u64) << bits, common)?;
            }
        }
        Ok(())
    }

    /// Records what differs between the L2 tables at host bytes `old` and `new`, which begin with guest byte `start`, up to guest
    /// byte `end`.
    fn mark_entries(&mut self, old: u64, new: u64, start: u64, end: u64) -> Result<()> {
        let (old, new) = (self.words_or_none(old)?, self.words_or_none(new)?);
        let (unit, step) = (self.cluster().len(), 1 << self.header.l2.entry_word_bits());
        for (index, (old, new)) in old.chunks(step).zip(new.chunks(step)).enumerate() {
            let guest = start + index as u64 * unit;
            if guest < end && (meaning(old[0]) != meaning(new[0]) || old[1..] != new[1..]) {
                self.record.mark(guest..(guest + unit).min(end));
            }
        }
        Ok(())
    }

    /// The words of the L2 table at host byte `host`; where that is 0, those of an empty one.
    fn words_or_none(&self, host: u64) -> Result<Vec<u64>> {
        match host {
            0 => Ok(vec![0; usize::try_from(self.header.l2.words()).unwrap_or(0)]),
            host => self.words_at(host),
        }
    }
}

/// An entry without the flag that says nothing of what the guest reads.
fn meaning(entry: u64) -> u64 {
    if entry & COMPRESSED == 0 { entry & !COPIED } else { entry }
}
