//! Making guest bytes zero, or the parent's.

use std::ops::Range;

use imgfmt_core::{Erase, Error, Result};

use super::disk::Disk;
use super::write::whole_entry;
use crate::entry::Entry;
use crate::extended::Extended;
use crate::layout::{COPIED, OFFSET_MASK, SUBCLUSTERS, SUBCLUSTERS_STORED, VERSION_2, ZERO};

impl Disk<'_> {
    /// Makes the guest bytes of `range` read as `how` says.
    ///
    /// # Errors
    ///
    /// As [`ImageEditor::erase`](imgfmt_core::ImageEditor::erase).
    pub(super) fn erase(&mut self, range: Range<u64>, how: Erase) -> Result<()> {
        let end = self.check_range(range.start, range.end.saturating_sub(range.start))?;
        self.record.mark(range.start..end);
        let len = self.cluster().len();
        let mut at = range.start;
        while at < end {
            let guest = at - at % len;
            let stop = (guest + len).min(end);
            let whole = at == guest && (stop == guest + len || stop == self.size);
            match (whole, how) {
                (true, _) if self.skip_table(guest, end, how)? => {
                    at = self.table_end(guest).min(end);
                    continue;
                }
                (true, _) => self.erase_cluster(guest, how)?,
                (false, Erase::Absent) => {
                    return Err(Error::invalid(format!(
                        "guest bytes {at}..{stop} are a part of a cluster of {len} bytes"
                    )));
                }
                (false, _) => self.erase_part(guest, at - guest..stop - guest)?,
            }
            self.flush_if_large()?;
            at = stop;
        }
        Ok(())
    }

    /// The first guest byte behind the L2 table that covers `guest`.
    fn table_end(&self, guest: u64) -> u64 {
        let bits = self.header.l2.span_bits();
        ((guest >> bits) + 1).checked_shl(bits).unwrap_or(u64::MAX).min(self.size)
    }

    /// Whether nothing is to be done for all of an L2 table from its start on: there is none, and its bytes are as they shall be.
    fn skip_table(&mut self, guest: u64, end: u64, how: Erase) -> Result<bool> {
        let (l1_index, word) = self.place(guest);
        let bits = self.header.l2.span_bits();
        let covers = word == 0 && guest.is_multiple_of(1 << bits) && self.table_end(guest) <= end;
        let right = how == Erase::Absent || !self.has_parent;
        Ok(covers && right && self.l1.get(l1_index).is_none_or(|entry| entry & OFFSET_MASK == 0))
    }

    /// Erases a whole cluster.
    fn erase_cluster(&mut self, guest: u64, how: Erase) -> Result<()> {
        let words = self.words(guest)?;
        let decoded = self.decode(words)?;
        let is_absent = decoded == Extended::Whole(Entry::Unallocated) && words[0] & OFFSET_MASK == 0;
        if is_absent && (how == Erase::Absent || !self.has_parent) {
            return Ok(());
        }
        if how != Erase::Absent && self.header.version == VERSION_2 && self.has_parent {
            let len = (self.size - guest).min(self.cluster().len());
            return self.write(&vec![0; usize::try_from(len).unwrap_or(0)], guest);
        }
        if self.data.is_some() {
            self.clear_data(guest)?;
        }
        let erased = match how {
            Erase::Absent => [0, 0],
            Erase::Zero if !self.has_parent && self.header.version == VERSION_2 => [0, 0],
            Erase::ZeroKeepSpace if self.header.version == VERSION_2 => [0, 0],
            Erase::Zero => self.zero_words(0),
            Erase::ZeroKeepSpace => {
                let kept = self.kept_host(words[0], &decoded)?;
                self.zero_words(kept)
            }
        };
        let entry = whole_entry(&decoded);
        let goes = erased[0] & OFFSET_MASK == 0;
        if goes {
            self.check_let_go(words[0], entry)?;
        }
        self.set_words(guest, erased)?;
        if goes { self.let_go(words[0], entry) } else { Ok(()) }
    }

    /// The place that a zero cluster keeps: its own one, or none.
    fn kept_host(&mut self, raw: u64, decoded: &Extended) -> Result<u64> {
        let host = raw & OFFSET_MASK;
        let compressed = matches!(decoded, Extended::Whole(Entry::Compressed { .. }));
        Ok(if compressed || host == 0 || self.data.is_some() || !self.is_own(host)? { 0 } else { host })
    }

    /// The entry of a cluster that is zero, with the place `host` or none.
    pub(super) fn zero_words(&self, host: u64) -> [u64; 2] {
        let place = if host == 0 { 0 } else { host | COPIED };
        if self.header.l2.extended() { [place, SUBCLUSTERS_STORED << SUBCLUSTERS] } else { [place | ZERO, 0] }
    }

    /// Erases a part of a cluster: zeros are written, but where it is zero already.
    fn erase_part(&mut self, guest: u64, part: Range<u64>) -> Result<()> {
        let words = self.words(guest)?;
        let zero = match self.decode(words)? {
            Extended::Whole(Entry::Zero) => true,
            Extended::Whole(Entry::Unallocated) => !self.has_parent,
            _ => false,
        };
        if zero {
            return Ok(());
        }
        let len = usize::try_from(part.end - part.start).unwrap_or(0);
        self.write(&vec![0; len], guest + part.start)
    }

    /// Makes the place of a cluster in the data file zero, which may be read without the image.
    fn clear_data(&mut self, guest: u64) -> Result<()> {
        let end = (guest + self.cluster().len()).min(self.size);
        match &self.data {
            Some(data) => data.clear(guest..end),
            None => Ok(()),
        }
    }
}
