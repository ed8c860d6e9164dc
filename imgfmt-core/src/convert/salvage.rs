//! What a conversion that goes on without what cannot be read has lost.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use super::Cancel;
use crate::{Error, ErrorKind, Result};

/// Takes note of the guest bytes that could not be read, and became zeros. Any thread may.
#[derive(Debug, Default)]
pub struct Salvage(Mutex<Losses>);

/// Guest bytes that could not be read, and are zeros now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    /// Where they are, ascending; ranges that touch are one. No more than 65536: of a disk with more holes, those that lie
    /// closest to each other are one range here, with what was read between them.
    pub ranges: Vec<Range<u64>>,
    /// How many they are.
    pub bytes: u64,
}

impl Lost {
    /// Whether nothing is lost.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Whether all in [`ranges`](Self::ranges) is lost; if not, there were too many ranges to tell one from the other.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.ranges.iter().map(|range| range.end - range.start).sum::<u64>() == self.bytes
    }
}

/// What is lost so far.
#[derive(Debug, Default)]
struct Losses {
    /// The end of each range by its start. Ranges do not touch.
    ranges: BTreeMap<u64, u64>,
    /// Bytes that are lost.
    bytes: u64,
}

impl Salvage {
    /// Nothing is lost yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes note of guest bytes that are lost, each of which is named once.
    pub(super) fn lose(&self, range: Range<u64>) {
        if !range.is_empty() {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).add(range);
        }
    }

    /// What is lost.
    #[must_use]
    pub fn into_lost(self) -> Lost {
        let Losses { ranges, bytes } = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        Lost { ranges: ranges.into_iter().map(|(start, end)| start..end).collect(), bytes }
    }
}

impl Losses {
    /// Adds a range that is not empty, joined with those that it touches.
    fn add(&mut self, range: Range<u64>) {
        self.bytes += range.end - range.start;
        let Range { mut start, mut end } = range;
        // Ranges that were joined for want of room may reach over this one.
        while let Some((&before, &until)) = self.ranges.range(..=end).next_back().filter(|(_, until)| **until >= start)
        {
            self.ranges.remove(&before);
            (start, end) = (start.min(before), end.max(until));
        }
        self.ranges.insert(start, end);
        if self.ranges.len() > MAX_RANGES {
            self.join();
        }
    }

    /// Joins those that lie closest to each other until half as many are left, so that this is done rarely.
    fn join(&mut self) {
        let mut gaps: Vec<u64> =
            self.ranges.keys().skip(1).zip(self.ranges.values()).map(|(next, end)| next - end).collect();
        let mut to_join = self.ranges.len() - MAX_RANGES / 2;
        let (_, &mut widest, _) = gaps.select_nth_unstable(to_join - 1);
        let mut joined: BTreeMap<u64, u64> = BTreeMap::new();
        for (start, end) in std::mem::take(&mut self.ranges) {
            match joined.last_entry() {
                Some(mut last) if to_join > 0 && start - last.get() <= widest => {
                    to_join -= 1;
                    last.insert(end);
                }
                _ => {
                    joined.insert(start, end);
                }
            }
        }
        self.ranges = joined;
    }
}

/// How a conversion goes on where its source cannot be read.
#[derive(Clone, Copy)]
pub(super) struct Rescue<'a> {
    /// Where losses are noted.
    pub(super) salvage: &'a Salvage,
    /// Stops it: a bad disk takes seconds for each read that fails.
    pub(super) cancel: &'a Cancel,
}

impl Rescue<'_> {
    /// Says so where the conversion was cancelled.
    pub(super) fn go_on(&self) -> Result<()> {
        if self.cancel.is_cancelled() {
            return Err(Error::new(ErrorKind::Cancelled, "the conversion was cancelled"));
        }
        Ok(())
    }
}

/// Ranges that are kept apart: 2 MiB of memory, and more lines than anybody reads. Not a rule of any format.
const MAX_RANGES: usize = 1 << 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_that_touch_are_one_in_whatever_order_they_come() {
        let salvage = Salvage::new();
        for start in [5, 1, 3, 4, 9, 2] {
            salvage.lose(start * 512..(start + 1) * 512);
        }
        salvage.lose(7..7);
        let lost = salvage.into_lost();
        assert_eq!(lost.ranges, [512..6 * 512, 9 * 512..10 * 512]);
        assert!(lost.is_exact() && lost.bytes == 6 * 512);
    }

    #[test]
    fn too_many_ranges_are_joined_where_they_lie_closest() {
        let salvage = Salvage::new();
        let far = 1 << 40;
        salvage.lose(far..far + 512);
        let count = 3 * MAX_RANGES as u64;
        for sector in 0..count {
            salvage.lose(sector * 1024..sector * 1024 + 512);
        }
        // One that lies in a gap which is part of a range by now.
        salvage.lose(512..1024);
        let lost = salvage.into_lost();
        assert!(lost.ranges.len() <= MAX_RANGES && !lost.is_exact());
        assert_eq!(lost.bytes, (count + 2) * 512);
        assert!(lost.ranges.windows(2).all(|pair| pair[0].end < pair[1].start));
        assert_eq!(lost.ranges.last(), Some(&(far..far + 512)));
        for sector in 0..count {
            let within = |range: &Range<u64>| range.contains(&(sector * 1024)) && range.end >= sector * 1024 + 512;
            let index = lost.ranges.partition_point(|range| range.start <= sector * 1024) - 1;
            assert!(within(&lost.ranges[index]), "sector {sector}");
        }
    }
}
