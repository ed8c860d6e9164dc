//! Space in the file that reads as zeros and that nothing uses.

use std::collections::BTreeMap;

/// Runs of sectors, none of which touches another.
#[derive(Debug, Default)]
pub(super) struct FreeRuns(BTreeMap<u64, u64>);

impl FreeRuns {
    /// Adds `len` sectors from `start` on, unless there are too many runs already: then they are left for nobody.
    pub(super) fn add(&mut self, start: u64, len: u64) {
        let (mut start, mut end) = (start, start + len);
        if let Some((&before, &before_end)) = self.0.range(..start).next_back()
            && before_end == start
        {
            start = before;
        }
        if let Some(behind_end) = self.0.remove(&end) {
            end = behind_end;
        }
        if self.0.len() < MAX_RUNS || self.0.contains_key(&start) {
            self.0.insert(start, end);
        }
    }

    /// Takes the first `len` sectors that are there in a row.
    pub(super) fn take(&mut self, len: u64) -> Option<u64> {
        let (start, end) = self.0.pop_first()?;
        if start + len < end {
            self.0.insert(start + len, end);
        }
        Some(start)
    }

    /// Takes the run that ends at sector `end`; says where it starts.
    pub(super) fn take_end(&mut self, end: u64) -> Option<u64> {
        let (&start, _) = self.0.last_key_value().filter(|(_, last)| **last == end)?;
        self.0.remove(&start);
        Some(start)
    }
}

/// Runs that are remembered; more are zeros that nobody uses again before the image is opened anew.
const MAX_RUNS: usize = 1 << 18;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_grow_together_and_are_taken_from_the_front_or_at_the_end() {
        let mut free = FreeRuns::default();
        for start in [40, 8, 24, 16, 48] {
            free.add(start, 8);
        }
        assert_eq!(free.0.clone().into_iter().collect::<Vec<_>>(), [(8, 32), (40, 56)]);
        assert_eq!((free.take(8), free.take_end(64), free.take_end(56)), (Some(8), None, Some(40)));
        assert_eq!((free.take(8), free.take(8), free.take(8)), (Some(16), Some(24), None));
    }
}
