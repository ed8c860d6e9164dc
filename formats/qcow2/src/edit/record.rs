//! What changes while bitmaps record it.

use std::collections::BTreeMap;
use std::ops::Range;

use imgfmt_core::{Error, Result};

use crate::bitmaps::Bitmap;

/// The ranges that were changed, for the bitmaps that record.
#[derive(Debug, Default)]
pub(super) struct Record {
    /// How many bitmaps there are.
    bitmaps: usize,
    /// Whether one of them records.
    records: bool,
    /// Whether what is changed is none of the guest's business.
    paused: bool,
    /// Those that could not be relied on when the image was opened.
    stale: Vec<String>,
    /// Those whose bits mean what is not known here.
    unknown: Vec<String>,
    /// Changed ranges by their start; none touch.
    ranges: BTreeMap<u64, u64>,
    /// Whether anything was changed, and the image says so.
    pub(super) begun: bool,
}

impl Record {
    /// Nothing has been changed in an image with these bitmaps.
    pub(super) fn new(bitmaps: &[Bitmap]) -> Self {
        let infos: Vec<_> = bitmaps.iter().map(Bitmap::info).collect();
        let records = infos.iter().any(|info| info.enabled);
        let stale = infos.iter().filter(|info| info.inconsistent).map(|info| info.name.clone()).collect();
        let unknown = bitmaps.iter().filter(|bitmap| !bitmap.is_known()).map(|bitmap| bitmap.info().name).collect();
        Self { bitmaps: bitmaps.len(), records, stale, unknown, ..Self::default() }
    }

    /// Whether there are no bitmaps.
    pub(super) fn is_empty(&self) -> bool {
        self.bitmaps == 0
    }

    /// Whether a bitmap records.
    pub(super) fn records(&self) -> bool {
        self.records
    }

    /// Those that could not be relied on when the image was opened.
    pub(super) fn stale(&self) -> &[String] {
        &self.stale
    }

    /// Whether all bitmaps can be those of a disk of another size.
    ///
    /// # Errors
    ///
    /// [`Invalid`](imgfmt_core::ErrorKind::Invalid) for one that was in use,
    /// [`Unsupported`](imgfmt_core::ErrorKind::Unsupported) for one that is not known here; both are named.
    pub(super) fn check_resizable(&self) -> Result<()> {
        if let Some(name) = self.stale.first() {
            let what = "was in use when the image was last closed; it cannot follow the size of the disk";
            return Err(Error::invalid(format!("the bitmap {name} {what}, and has to be removed first")));
        }
        if let Some(name) = self.unknown.first() {
            let what = "is of a kind that is not known, and cannot follow the size of the disk";
            return Err(Error::unsupported(format!("the bitmap {name} {what}")));
        }
        Ok(())
    }

    /// From now on, or no longer, what is changed is none of the guest's business.
    pub(super) fn pause(&mut self, paused: bool) {
        self.paused = paused;
    }

    /// Forgets what was changed behind guest byte `size`, where the disk ends now.
    pub(super) fn cut(&mut self, size: u64) {
        self.ranges.split_off(&size);
        if let Some(mut last) = self.ranges.last_entry() {
            *last.get_mut() = size.min(*last.get());
        }
    }

    /// Takes note of a change.
    pub(super) fn mark(&mut self, range: Range<u64>) {
        if !self.records || self.paused || range.is_empty() {
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

    #[test]
    fn a_disk_that_is_cut_has_no_ranges_behind_its_end() {
        let mut record = Record { records: true, ..Record::default() };
        [10..20, 30..40, 50..60].into_iter().for_each(|range| record.mark(range));
        record.cut(35);
        assert_eq!(record.ranges().collect::<Vec<_>>(), [10..20, 30..35]);
        record.cut(30);
        record.pause(true);
        record.mark(0..5);
        assert_eq!(record.ranges().collect::<Vec<_>>(), std::iter::once(10..20).collect::<Vec<_>>());
    }
}
