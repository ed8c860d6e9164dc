//! What changes while bitmaps record it.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::bitmaps::Bitmap;

/// The ranges that were changed, for the bitmaps that record.
#[derive(Debug, Default)]
pub(super) struct Record {
    /// How many bitmaps there are.
    bitmaps: usize,
    /// Whether one of them records.
    records: bool,
    /// Those that record and could not be relied on when the image was opened.
    stale: Vec<String>,
    /// Changed ranges by their start; none touch.
    ranges: BTreeMap<u64, u64>,
    /// Whether anything was changed, and the image says so.
    pub(super) begun: bool,
}

impl Record {
    /// Nothing has been changed in an image with these bitmaps.
    pub(super) fn new(bitmaps: &[Bitmap]) -> Self {
        let infos: Vec<_> = bitmaps.iter().map(Bitmap::info).filter(|info| info.enabled).collect();
        let stale = infos.iter().filter(|info| info.inconsistent).map(|info| info.name.clone()).collect();
        Self { bitmaps: bitmaps.len(), records: !infos.is_empty(), stale, ..Self::default() }
    }

    /// Whether there are no bitmaps.
    pub(super) fn is_empty(&self) -> bool {
        self.bitmaps == 0
    }

    /// Whether a bitmap records.
    pub(super) fn records(&self) -> bool {
        self.records
    }

    /// Those that record and could not be relied on when the image was opened.
    pub(super) fn stale(&self) -> &[String] {
        &self.stale
    }

    /// Takes note of a change.
    pub(super) fn mark(&mut self, range: Range<u64>) {
        if !self.records || range.is_empty() {
            return;
        }
        let (mut start, mut end) = (range.start, range.end);
        let touching: Vec<(u64, u64)> =
            self.ranges.range(..=end).rev().take_while(|(_, old)| **old >= start).map(|(a, b)| (*a, *b)).collect();
        for (old_start, old_end) in touching {
            self.ranges.remove(&old_start);
            start = start.min(old_start);
            end = end.max(old_end);
        }
        self.ranges.insert(start, end);
    }

    /// The changed ranges.
    pub(super) fn ranges(&self) -> impl Iterator<Item = Range<u64>> {
        self.ranges.iter().map(|(start, end)| *start..*end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_that_touch_are_one() {
        let mut record = Record { records: true, ..Record::default() };
        for range in [10..20, 30..40, 20..25, 5..11, 24..31, 50..50] {
            record.mark(range);
        }
        assert_eq!(record.ranges().collect::<Vec<_>>(), std::iter::once(5..40).collect::<Vec<_>>());
    }
}
