//! What of a file is in use.

use std::collections::BTreeMap;
use std::ops::Range;

/// Ranges of a file that are in use; those that touch are one.
#[derive(Debug)]
pub(super) struct Used {
    /// Where each range starts, and where it ends.
    ranges: BTreeMap<u64, u64>,
    /// So many are kept at most.
    most: u64,
    /// Whether there were more.
    full: bool,
}

impl Used {
    /// Nothing is in use; so many ranges are kept apart at most.
    pub(super) fn new(most: u64) -> Self {
        Self { ranges: BTreeMap::new(), most, full: false }
    }

    /// Adds `range`; returns whether nothing of it was in use, as far as that is known.
    pub(super) fn add(&mut self, range: Range<u64>) -> bool {
        if range.is_empty() {
            return true;
        }
        let before = self.ranges.range(..range.end).next_back().map(|(start, end)| (*start, *end));
        if before.is_some_and(|(_, end)| end > range.start) {
            return false;
        }
        if self.ranges.len() as u64 >= self.most {
            self.full = true;
            return true;
        }
        let (mut start, mut end) = (range.start, range.end);
        if let Some((first, _)) = before.filter(|(_, end)| *end == range.start) {
            start = first;
        }
        if let Some(last) = self.ranges.remove(&range.end) {
            end = last;
        }
        self.ranges.insert(start, end);
        true
    }

    /// Whether not all that is in use is known.
    pub(super) fn is_full(&self) -> bool {
        self.full
    }

    /// Where everything ends that is in use.
    pub(super) fn end(&self) -> u64 {
        self.ranges.last_key_value().map_or(0, |(_, end)| *end)
    }

    /// What is not in use up to byte `end`.
    pub(super) fn gaps(&self, end: u64) -> impl Iterator<Item = Range<u64>> + '_ {
        let starts = self.ranges.keys().copied().chain([end]);
        let ends = [0].into_iter().chain(self.ranges.values().copied());
        ends.zip(starts).filter(|(from, to)| from < to).map(|(from, to)| from..to)
    }
}

/// Bytes that a range takes in memory, about: two numbers, and what keeps them in order.
pub(super) const ITEM_LEN: u64 = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_that_touch_are_one_and_none_is_used_twice() {
        let mut used = Used::new(3);
        assert!(used.add(10..20) && used.add(30..40) && used.add(20..30) && used.add(50..50));
        for range in [10..11, 0..11, 39..60, 5..100, 25..26] {
            assert!(!used.add(range));
        }
        assert_eq!(used.gaps(50).collect::<Vec<_>>(), [0..10, 40..50]);
        assert_eq!((used.end(), used.is_full()), (40, false));
        assert!(used.add(50..51) && used.add(60..61) && used.add(70..71));
        assert!(used.is_full());
    }
}
