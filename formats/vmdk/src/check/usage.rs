//! Which sectors of a file are in use, a window of it at a time.

use std::ops::Range;

/// The sectors of a window of a file: those of metadata, and all that are in use.
pub(super) struct Usage {
    /// The sectors that it is about.
    pub(super) window: Range<u64>,
    /// A bit for each sector of metadata.
    metadata: Vec<u64>,
    /// A bit for each sector of a grain.
    grains: Vec<u64>,
}

impl Usage {
    /// Nothing is in use in `window`, which is no longer than [`WINDOW`].
    pub(super) fn new(window: Range<u64>) -> Self {
        let words = usize::try_from((window.end - window.start).div_ceil(64)).unwrap_or(0);
        Self { window, metadata: vec![0; words], grains: vec![0; words] }
    }

    /// Takes note of metadata.
    pub(super) fn add_metadata(&mut self, sectors: &Range<u64>) {
        let sectors = self.clipped(sectors);
        each_word(&sectors, |word, mask| {
            self.metadata[word] |= mask;
            true
        });
    }

    /// Takes note of a grain.
    pub(super) fn add_grain(&mut self, sectors: &Range<u64>) {
        let sectors = self.clipped(sectors);
        each_word(&sectors, |word, mask| {
            self.grains[word] |= mask;
            true
        });
    }

    /// Whether any of `sectors` is metadata.
    pub(super) fn has_metadata(&self, sectors: &Range<u64>) -> bool {
        let sectors = self.clipped(sectors);
        !each_word(&sectors, |word, mask| self.metadata[word] & mask == 0)
    }

    /// Whether any of `sectors` is a grain's.
    pub(super) fn has_grain(&self, sectors: &Range<u64>) -> bool {
        let sectors = self.clipped(sectors);
        !each_word(&sectors, |word, mask| self.grains[word] & mask == 0)
    }

    /// Calls `visit` with every run of sectors from `first` on that nothing uses.
    pub(super) fn each_free_run(&self, first: u64, mut visit: impl FnMut(Range<u64>)) {
        let len = self.window.end - self.window.start;
        let mut at = first.saturating_sub(self.window.start);
        let mut run = at;
        while at < len {
            let word = usize::try_from(at / 64).unwrap_or(usize::MAX);
            let used = self.metadata[word] | self.grains[word];
            if used == 0 && at.is_multiple_of(64) {
                at += 64;
                continue;
            }
            let skips = if used == u64::MAX && at.is_multiple_of(64) { 64 } else { 1 };
            if used >> (at % 64) & 1 != 0 {
                if at > run {
                    visit(self.window.start + run..self.window.start + at);
                }
                run = at + skips;
            }
            at += skips;
        }
        if run < len {
            visit(self.window.start + run..self.window.end);
        }
    }

    /// The part of `sectors` in the window, counted from its start.
    fn clipped(&self, sectors: &Range<u64>) -> Range<u64> {
        let start = sectors.start.clamp(self.window.start, self.window.end);
        let end = sectors.end.clamp(start, self.window.end);
        start - self.window.start..end - self.window.start
    }
}

/// Calls `visit` with every word that has bits of `range`, and these bits, until it says no; says whether it never did.
fn each_word(range: &Range<u64>, mut visit: impl FnMut(usize, u64) -> bool) -> bool {
    let mut at = range.start;
    while at < range.end {
        let end = range.end.min((at / 64 + 1) * 64);
        let mask = u64::MAX >> (64 - (end - at)) << (at % 64);
        if !visit(usize::try_from(at / 64).unwrap_or(usize::MAX), mask) {
            return false;
        }
        at = end;
    }
    true
}

/// Windows that are looked at: 4 TiB, which is more than entries of 4 bytes can say.
pub(super) const MAX_WINDOWS: u64 = 128;
/// Sectors of a window: 32 GiB of file for 16 MiB of memory.
pub(super) const WINDOW: u64 = 64 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_seen_across_words_and_at_the_borders_of_the_window() {
        let mut usage = Usage::new(100..300);
        usage.add_metadata(&(0..102));
        usage.add_grain(&(160..230));
        assert!(usage.has_grain(&(229..231)) && !usage.has_grain(&(230..400)) && !usage.has_grain(&(0..160)));
        assert!(usage.has_metadata(&(101..102)) && !usage.has_metadata(&(102..1000)));
        let runs = |first| {
            let mut runs = Vec::new();
            usage.each_free_run(first, |run| runs.push(run));
            runs
        };
        assert_eq!(runs(0), [102..160, 230..300]);
        assert_eq!(runs(150), [150..160, 230..300]);
        assert_eq!((runs(161).len(), runs(161).first().cloned()), (1, Some(230..300)));
        assert!(runs(1000).is_empty());
        let mut full = Usage::new(0..64);
        full.add_grain(&(0..64));
        full.each_free_run(0, |run| panic!("{run:?}"));
    }
}
