//! Places that zeros keep: clusters that were given to the guest and read as zeros all the same, or of which some subclusters do.

use std::ops::Range;

use imgfmt_core::{Kept, Result};

use crate::image::Qcow2Image;
use crate::layout::{COMPRESSED, OFFSET_MASK};

impl Qcow2Image {
    /// Where the zeros of guest `range` have a place, from its start on, as far as one page of tables tells.
    ///
    /// # Errors
    ///
    /// What reading tables meets.
    pub(crate) fn kept_places(&self, range: Range<u64>) -> Result<Kept> {
        let (bits, l2) = (self.header.cluster.bits(), self.header.l2);
        let index = range.start >> l2.span_bits();
        let entries = self.tables.entries(self.file(), self.l1, index)?;
        let absent = entries.iter().take_while(|&&entry| entry & OFFSET_MASK == 0).count() as u64;
        if absent > 0 {
            return Ok(Kept::nowhere(&(range.start..range.end.min((index + absent) << l2.span_bits()))));
        }
        let table = self.l2_table(entries[0] & OFFSET_MASK)?;
        let first = range.start >> bits;
        let word = (first & (l2.entries() - 1)) << l2.entry_word_bits();
        let words = self.tables.entries(self.file(), table, word)?;
        let mut clusters = words.iter().step_by(1 << l2.entry_word_bits()).map(|&raw| self.place_of(raw));
        let host = clusters.next().flatten();
        let expected = (1..).map(|count| host.map(|host| host + (count << bits)));
        let alike = 1 + clusters.zip(expected).take_while(|(next, expected)| next == expected).count() as u64;
        let end = range.end.min((first + alike) << bits);
        let into = range.start & (self.header.cluster.len() - 1);
        let place = self.data.source().zip(host).map(|(source, host)| (source, host + into));
        Ok(Kept { place, len: end - range.start })
    }

    /// The host byte of the cluster that an entry names, if it has one at a cluster border.
    fn place_of(&self, raw: u64) -> Option<u64> {
        let host = raw & OFFSET_MASK;
        (raw & COMPRESSED == 0 && host != 0 && self.header.cluster.aligns(host)).then_some(host)
    }
}
