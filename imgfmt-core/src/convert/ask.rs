//! How much of a map that is damaged in places is asked for at once.

use std::ops::Range;

/// The next question to a map: all that is left, unless answers failed of late.
#[derive(Debug)]
pub(super) struct Ask {
    /// Guest bytes to ask for at most.
    len: u64,
    /// Questions for the least there is that failed one after the other.
    lost: u32,
}

impl Ask {
    /// Nothing has failed.
    pub(super) fn new() -> Self {
        Self { len: u64::MAX, lost: 0 }
    }

    /// What to ask for from `start` on, of a disk that ends at `size`.
    pub(super) fn range(&self, start: u64, size: u64) -> Range<u64> {
        start..start.saturating_add(self.len).min(size)
    }

    /// Takes note that there was an answer.
    pub(super) fn answered(&mut self) {
        self.len = self.len.saturating_mul(2);
        self.lost = 0;
    }

    /// Takes note that there was no answer for `range` of a disk whose least part is `unit`. Says whether the range is lost; if
    /// not, less of it is to be asked for.
    pub(super) fn failed(&mut self, range: &Range<u64>, unit: u64) -> bool {
        // Behind very many lost units, more is given up at once: a disk of exabytes has to end.
        let unit = unit.saturating_mul(1 << (self.lost / LOST_UNITS).min(MAX_SHIFT));
        // To the end of the unit that the range begins in, so that nothing but whole units is lost.
        let least = unit - range.start % unit;
        let len = range.end - range.start;
        if len <= least {
            self.lost = self.lost.saturating_add(1);
            // What follows a lost unit is likely to be lost as well: one question for each.
            self.len = unit;
            return true;
        }
        let half = (range.start + (len / 2).min(LOST_AT_FIRST)) / unit * unit;
        self.len = half.saturating_sub(range.start).max(least);
        false
    }
}

/// Guest bytes that are asked for first where all could not be had: 64 MiB.
const LOST_AT_FIRST: u64 = 64 << 20;
/// Lost units one after the other that are asked for one by one: of 64 KiB, they are 4 GiB.
const LOST_UNITS: u32 = 1 << 16;
/// The largest power of two by which lost units grow.
const MAX_SHIFT: u32 = 40;

#[cfg(test)]
mod tests {
    use super::*;

    /// Asks for a disk of `size` bytes of which `bad` cannot be had, in units. Returns what is lost, and how often that failed.
    fn walk(size: u64, unit: u64, bad: &[Range<u64>]) -> (Vec<Range<u64>>, u64) {
        let (mut ask, mut at, mut lost, mut failures) = (Ask::new(), 0, Vec::<Range<u64>>::new(), 0);
        while at < size {
            let range = ask.range(at, size);
            if bad.iter().all(|bad| bad.end <= range.start || range.end <= bad.start) {
                ask.answered();
                at = range.end;
                continue;
            }
            failures += 1;
            if ask.failed(&range, unit) {
                at = range.end;
                match lost.last_mut() {
                    Some(last) if last.end == range.start => last.end = range.end,
                    _ => lost.push(range),
                }
            }
        }
        (lost, failures)
    }

    #[test]
    fn each_lost_unit_costs_one_failure() {
        let bad = [(512 << 20)..(1 << 30), (2 << 30)..(2 << 30) + 1];
        let (lost, failures) = walk(1 << 40, 64 << 10, &bad);
        assert_eq!(lost, [(512 << 20)..(1 << 30), (2 << 30)..(2 << 30) + (64 << 10)]);
        // The rest finds the first and the last of each.
        assert!(failures < (8192 + 1) + 2 * 40, "{failures}");
    }

    #[test]
    fn exabytes_of_nothing_end() {
        let all = 0..1 << 60;
        let (lost, failures) = walk(1 << 60, 512, std::slice::from_ref(&all));
        assert_eq!(lost.as_slice(), std::slice::from_ref(&all));
        assert!(failures < 4 << 20, "{failures}");
    }
}
