//! What the last answer said of zeros.

use std::num::NonZeroU64;
use std::ops::Range;

use imgfmt_core::Segment;

use crate::wire::STATE_ZERO;

/// What is known of zeros: runs one behind the other, and whether they are zero.
#[derive(Debug, Default)]
pub(crate) struct Known(Vec<(Range<u64>, bool)>);

impl Known {
    /// What the answer `runs` says of `range`. A run may go beyond what was asked for.
    pub(crate) fn new(range: Range<u64>, runs: &[(u32, u32)]) -> Self {
        let mut known = Vec::new();
        let mut at = range.start;
        for &(len, state) in runs {
            let end = at.saturating_add(len.into());
            known.push((at..end, state & STATE_ZERO != 0));
            at = end;
        }
        Self(known)
    }

    /// What lies at `offset`, and for how long that stays true.
    pub(crate) fn at(&self, offset: u64) -> Option<Segment> {
        let first = self.0.partition_point(|(range, _)| range.end <= offset);
        let (range, hole) = self.0.get(first).filter(|(range, _)| range.contains(&offset))?;
        let mut end = range.end;
        for (next, _) in self.0[first + 1..].iter().take_while(|(_, other)| other == hole) {
            end = next.end;
        }
        NonZeroU64::new(end - offset).map(|len| Segment { hole: *hole, len })
    }

    /// Forgets it.
    pub(crate) fn forget(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::STATE_HOLE;

    #[test]
    fn runs_that_are_alike_are_one_and_beyond_them_nothing_is_known() {
        let zero = STATE_ZERO | STATE_HOLE;
        let known = Known::new(100..200, &[(10, 0), (10, STATE_HOLE), (50, zero), (100, STATE_ZERO)]);
        let at = |offset| known.at(offset).map(|segment| (segment.hole, segment.len.get()));
        assert_eq!(at(99), None);
        assert_eq!(at(100), Some((false, 20)));
        assert_eq!(at(119), Some((false, 1)));
        assert_eq!(at(120), Some((true, 150)));
        assert_eq!(at(270), None);
    }
}
