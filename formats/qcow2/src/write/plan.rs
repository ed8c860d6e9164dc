//! Which clusters will be stored, known before the first of them is: from the map of what will be written.

use std::ops::Range;

use imgfmt_core::{Error, Image, ImageExt, Result};

/// Runs of clusters that will be stored, in guest order.
#[derive(Debug, Default)]
pub(super) struct Runs {
    /// The runs; none touches the next.
    runs: Vec<Run>,
    /// Clusters of all runs.
    total: u64,
}

/// A run of clusters that will be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    /// Index of its first cluster.
    first: u64,
    /// How many clusters it has.
    count: u64,
    /// Clusters of the runs before it.
    before: u64,
}

impl Run {
    /// The clusters.
    fn clusters(self) -> Range<u64> {
        self.first..self.first + self.count
    }
}

impl Runs {
    /// All `clusters` of a disk.
    pub(super) fn all(clusters: u64) -> Self {
        let run = Run { first: 0, count: clusters, before: 0 };
        Self { runs: Some(run).filter(|_| clusters > 0).into_iter().collect(), total: clusters }
    }

    /// The clusters of `1 << bits` bytes of `image` that are not zero from end to end, as far as its map can tell.
    ///
    /// # Errors
    ///
    /// As [`Image::map`]; [`LimitExceeded`](imgfmt_core::ErrorKind::LimitExceeded) for more runs than memory should hold.
    pub(super) fn of(image: &dyn Image, size: u64, bits: u32) -> Result<Self> {
        let mut runs = Self::default();
        image.visit_extents(0..image.size().min(size), &mut |extent| {
            if extent.is_zero() {
                return Ok(());
            }
            runs.add(extent.start >> bits..extent.end().div_ceil(1 << bits))
        })?;
        Ok(runs)
    }

    /// Adds clusters, the first of which may be the last that was added before.
    fn add(&mut self, clusters: Range<u64>) -> Result<()> {
        let known = self.runs.last().map_or(0, |run| run.clusters().end);
        let (first, end) = (clusters.start.max(known), clusters.end);
        if first >= end {
            return Ok(());
        }
        let full = self.runs.len() >= MAX_RUNS;
        match self.runs.last_mut() {
            Some(last) if last.clusters().end == first => last.count += end - first,
            _ if full => {
                let what = format!("more than {MAX_RUNS} runs of data are too many to write in one pass");
                return Err(Error::limit(what));
            }
            _ => self.runs.push(Run { first, count: end - first, before: self.total }),
        }
        self.total += end - first;
        Ok(())
    }

    /// Clusters of all runs.
    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// Whether clusters from `cluster` on are stored, and for how many of at most `max` that stays true; where they are,
    /// how many are stored before.
    pub(super) fn at(&self, cluster: u64, max: u64) -> (Option<u64>, u64) {
        let next = self.runs.partition_point(|run| run.clusters().end <= cluster);
        match self.runs.get(next) {
            Some(run) if run.first <= cluster => {
                (Some(run.before + (cluster - run.first)), max.min(run.clusters().end - cluster))
            }
            Some(run) => (None, max.min(run.first - cluster)),
            None => (None, max),
        }
    }

    /// The tables of `entries` clusters each that have a stored one, in order, with the stored clusters of each.
    pub(super) fn tables(&self, entries: u64) -> impl Iterator<Item = u64> {
        let of_run = move |run: &Run| run.first / entries..(run.first + run.count).div_ceil(entries);
        let mut known = 0;
        self.runs.iter().flat_map(of_run).filter(move |&table| {
            let new = table >= known;
            known = known.max(table + 1);
            new
        })
    }
}

/// Most runs that are kept: 96 MiB of them.
const MAX_RUNS: usize = 4 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(list: &[Range<u64>]) -> Runs {
        let mut runs = Runs::default();
        list.iter().for_each(|range| runs.add(range.clone()).unwrap());
        runs
    }

    #[test]
    fn runs_that_touch_or_share_a_cluster_are_one() {
        let runs = runs(&[0..2, 1..3, 3..4, 6..7, 6..8]);
        assert_eq!((runs.runs.len(), runs.total()), (2, 6));
        assert_eq!(runs.at(1, 9), (Some(1), 3));
        assert_eq!(runs.at(4, 9), (None, 2));
        assert_eq!(runs.at(7, 9), (Some(5), 1));
        assert_eq!(runs.at(8, 9), (None, 9));
    }

    #[test]
    fn a_table_is_counted_once() {
        let runs = runs(&[0..2, 3..4, 7..17, 40..41]);
        assert_eq!(runs.tables(4).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 10]);
        assert_eq!(Runs::all(0).tables(4).count(), 0);
    }
}
