//! Which MiB of a file are in use. Everything in a VHDX file lies at whole ones.

use std::ops::Range;

use imgfmt_core::{Limits, Result};

use crate::layout::ALIGN;

/// A bit for each MiB of a file; what lies behind the last bit is free.
#[derive(Clone, Debug)]
pub(crate) struct Space {
    /// The bits, the lowest first.
    words: Vec<u64>,
    /// Nothing before this MiB has room for a block.
    hint: u64,
    /// What must not be given out, though it lies in part behind the end of the file.
    avoided: Vec<Range<u64>>,
}

impl Space {
    /// Room for a file of `file_len` bytes, none of them in use.
    ///
    /// # Errors
    ///
    /// [`LimitExceeded`](imgfmt_core::ErrorKind::LimitExceeded) where there are too many.
    pub(crate) fn new(file_len: u64, limits: &Limits) -> Result<Self> {
        let words = limits.table_len("MiB of the file", file_len.div_ceil(ALIGN).div_ceil(64), 8)? / 8;
        Ok(Self { words: vec![0; words], hint: 0, avoided: Vec::new() })
    }

    /// Takes the MiB that `range` touches, and says the first byte of one that was taken already.
    pub(crate) fn claim(&mut self, range: Range<u64>) -> Option<u64> {
        let mut clash = None;
        for unit in units(&range) {
            if self.is_used(unit) {
                clash.get_or_insert(unit * ALIGN);
            }
            self.set(unit, true);
        }
        clash
    }

    /// Never gives out anything of `range`.
    pub(crate) fn avoid(&mut self, range: Range<u64>) {
        self.avoided.push(range);
    }

    /// Takes what is taken in `other`, too.
    pub(crate) fn add(&mut self, other: &Self) {
        self.words.iter_mut().zip(&other.words).for_each(|(word, other)| *word |= other);
    }

    /// Gives back the MiB that `range` touches.
    pub(crate) fn release(&mut self, range: Range<u64>) {
        self.hint = self.hint.min(range.start / ALIGN);
        units(&range).for_each(|unit| self.set(unit, false));
    }

    /// Takes the first free bytes, at whole MiB, that have room for a block of `len` bytes.
    pub(crate) fn allocate_block(&mut self, len: u64) -> u64 {
        let start = self.find(self.hint, len.div_ceil(ALIGN));
        self.hint = start + len.div_ceil(ALIGN);
        self.claim(start * ALIGN..start * ALIGN + len);
        start * ALIGN
    }

    /// Takes the first free bytes, at whole MiB, of something else than a block.
    pub(crate) fn allocate(&mut self, len: u64) -> u64 {
        let start = self.find(0, len.div_ceil(ALIGN)) * ALIGN;
        self.claim(start..start + len);
        start
    }

    /// The byte behind the last MiB in use.
    pub(crate) fn end(&self) -> u64 {
        let last = self.words.iter().rposition(|word| *word != 0);
        last.map_or(0, |at| (at as u64 * 64 + 64 - u64::from(self.words[at].leading_zeros())) * ALIGN)
    }

    /// The runs of free bytes that lie before the end.
    pub(crate) fn gaps(&self) -> Vec<Range<u64>> {
        let mut gaps: Vec<Range<u64>> = Vec::new();
        for unit in (0..self.end() / ALIGN).filter(|&unit| !self.is_used(unit)) {
            match gaps.last_mut() {
                Some(gap) if gap.end == unit * ALIGN => gap.end += ALIGN,
                _ => gaps.push(unit * ALIGN..(unit + 1) * ALIGN),
            }
        }
        gaps
    }

    /// The first MiB, not before `from`, of a run of `count` that may be given out.
    fn find(&self, from: u64, count: u64) -> u64 {
        let mut start = self.find_free(from, count);
        let clash = |start: u64| {
            let range = start * ALIGN..(start + count) * ALIGN;
            self.avoided.iter().find(|avoided| avoided.start < range.end && avoided.end > range.start)
        };
        while let Some(avoided) = clash(start) {
            start = self.find_free(avoided.end.div_ceil(ALIGN), count);
        }
        start
    }

    /// The first MiB, not before `from`, of a run of `count` that are free.
    fn find_free(&self, from: u64, count: u64) -> u64 {
        let (mut start, mut at) = (from, from);
        let end = self.words.len() as u64 * 64;
        while at < end && at - start < count {
            if at.is_multiple_of(64) && self.word(at) == u64::MAX {
                at += 64;
                start = at;
                continue;
            }
            at += 1;
            if self.is_used(at - 1) {
                start = at;
            }
        }
        start
    }

    /// Whether a MiB is in use.
    fn is_used(&self, unit: u64) -> bool {
        self.word(unit) >> (unit % 64) & 1 != 0
    }

    /// The word with the bit of a MiB.
    fn word(&self, unit: u64) -> u64 {
        usize::try_from(unit / 64).ok().and_then(|at| self.words.get(at)).copied().unwrap_or(0)
    }

    /// Sets the bit of a MiB, for which the file has been made long enough or is about to be.
    fn set(&mut self, unit: u64, used: bool) {
        let Ok(at) = usize::try_from(unit / 64) else { return };
        if at >= self.words.len() {
            self.words.resize(at + 1, 0);
        }
        let bit = 1 << (unit % 64);
        if used {
            self.words[at] |= bit;
        } else {
            self.words[at] &= !bit;
        }
    }
}

/// The MiB that `range` touches.
fn units(range: &Range<u64>) -> Range<u64> {
    range.start / ALIGN..range.end.div_ceil(ALIGN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_back_is_given_out_again() {
        const M: u64 = ALIGN;
        let mut space = Space::new(70 * M, &Limits::default()).unwrap();
        assert_eq!((space.end(), space.claim(0..66 * M)), (0, None));
        assert_eq!(space.claim(65 * M..67 * M), Some(65 * M));
        assert_eq!((space.allocate_block(2 * M), space.end()), (67 * M, 69 * M));
        space.release(3 * M..5 * M);
        space.release(64 * M..65 * M);
        assert_eq!(space.gaps(), [3 * M..5 * M, 64 * M..65 * M]);
        assert_eq!(space.allocate_block(3 * M), 69 * M);
        assert_eq!(space.allocate(M), 3 * M);
        space.release(2 * M..3 * M);
        assert_eq!((space.allocate_block(M), space.allocate_block(2 * M)), (2 * M, 72 * M));
        assert_eq!((space.allocate(M), space.allocate(2 * M)), (4 * M, 74 * M));
        space.release(70 * M..76 * M);
        assert_eq!(space.end(), 70 * M);
        space.avoid(72 * M..90 * M);
        space.avoid(70 * M..71 * M);
        assert_eq!((space.allocate_block(2 * M), space.allocate(M), space.end()), (90 * M, 64 * M, 92 * M));
    }
}
