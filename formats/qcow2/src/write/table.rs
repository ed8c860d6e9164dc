//! The L2 table that entries go to, and where finished tables go.

use std::ops::Range;

use crate::layout::{COPIED, OFFSET_MASK, SUBCLUSTERS, SUBCLUSTERS_STORED, ZERO};

/// Bytes that are complete, and where they are to be written.
#[derive(Debug)]
pub(super) struct Table {
    /// Host offset.
    pub(super) host: u64,
    /// The bytes.
    pub(super) bytes: Vec<u8>,
}

impl Table {
    /// The table of these words at host byte `host`.
    pub(super) fn of_words(host: u64, words: &[u64]) -> Self {
        Self { host, bytes: words.iter().flat_map(|word| word.to_be_bytes()).collect() }
    }
}

/// An L2 table in the making.
#[derive(Debug)]
pub(super) struct L2Table {
    /// Its index in the L1 table.
    pub(super) index: u64,
    /// Its host offset.
    host: u64,
    /// Its words: one for each entry, or two where there are subclusters.
    words: Vec<u64>,
    /// Whether there are subclusters.
    extended: bool,
}

impl L2Table {
    /// A table of `words` empty words.
    pub(super) fn new(index: u64, host: u64, words: u64, extended: bool) -> Self {
        Self { index, host, words: vec![0; usize::try_from(words).unwrap_or(0)], extended }
    }

    /// Puts the entry of cluster `slot`.
    pub(super) fn put(&mut self, slot: usize, entry: u64) {
        let at = self.word(slot);
        if let Some(word) = self.words.get_mut(at) {
            *word = entry;
        }
    }

    /// Gives the clusters from `slot` on places that follow one another.
    pub(super) fn put_clusters(&mut self, slot: usize, hosts: impl Iterator<Item = u64>) {
        (slot..).zip(hosts).for_each(|(slot, host)| self.put(slot, COPIED | host));
    }

    /// The host cluster of `slot`, where it has one already: only where there are subclusters does a later piece meet it.
    pub(super) fn host_of(&self, slot: usize) -> Option<u64> {
        let entry = self.words.get(self.word(slot)).copied().unwrap_or(0);
        (entry & COPIED != 0).then_some(entry & OFFSET_MASK)
    }

    /// Says that these subclusters of cluster `slot` are stored.
    pub(super) fn mark_stored(&mut self, slot: usize, parts: Range<u32>) {
        self.mark(slot, bits(&parts));
    }

    /// Says that these subclusters of cluster `slot` are zero; the whole cluster, where there are none.
    pub(super) fn mark_zero(&mut self, slot: usize, parts: Range<u32>) {
        if self.extended {
            self.mark(slot, bits(&parts) << SUBCLUSTERS);
        } else {
            self.put(slot, ZERO);
        }
    }

    /// The table, as it is written.
    pub(super) fn finish(&self) -> Table {
        Table::of_words(self.host, &self.words)
    }

    /// Sets bits of the second word of an entry.
    fn mark(&mut self, slot: usize, bits: u64) {
        let at = self.word(slot) + 1;
        if let Some(word) = self.words.get_mut(at).filter(|_| self.extended) {
            *word |= bits;
        }
    }

    /// The first word of the entry of cluster `slot`.
    fn word(&self, slot: usize) -> usize {
        slot << u32::from(self.extended)
    }
}

/// The bits of these subclusters, in the lower half.
fn bits(parts: &Range<u32>) -> u64 {
    let below = |end: u32| SUBCLUSTERS_STORED >> (SUBCLUSTERS - end.min(SUBCLUSTERS));
    below(parts.end) & !below(parts.start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subclusters_fill_their_word_from_the_lowest_bit() {
        assert_eq!(bits(&(0..32)), SUBCLUSTERS_STORED);
        assert_eq!(bits(&(0..1)), 1);
        assert_eq!(bits(&(31..32)), 1 << 31);
        assert_eq!(bits(&(4..6)), 0x30);
        assert_eq!(bits(&(7..7)), 0);
    }

    #[test]
    fn an_extended_entry_has_two_words() {
        let mut table = L2Table::new(0, 0, 8, true);
        table.put_clusters(1, [0x1_0000].into_iter());
        table.mark_stored(1, 0..2);
        table.mark_zero(1, 31..32);
        assert_eq!(table.words, [0, 0, COPIED | 0x1_0000, 3 | 1 << 63, 0, 0, 0, 0]);
        assert_eq!((table.host_of(1), table.host_of(0)), (Some(0x1_0000), None));
        let mut plain = L2Table::new(0, 0, 2, false);
        plain.mark_zero(1, 0..1);
        assert_eq!(plain.words, [0, ZERO]);
    }
}
