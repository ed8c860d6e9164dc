//! What is known so far of the block that pieces go to.

use std::ops::Range;

/// What a run of guest bytes is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Stored.
    Data,
    /// Zeros that nothing is stored for.
    Zero,
    /// The parent's.
    Absent,
}

/// A block whose pieces are coming.
#[derive(Debug)]
pub(super) struct Block {
    /// Its number.
    pub(super) index: u64,
    /// Where it lies, once it has to.
    pub(super) host: Option<u64>,
    /// Runs from its first byte on, in bytes of the block; two that touch differ.
    runs: Vec<(Range<u64>, Kind)>,
}

impl Block {
    /// A block of which nothing is known.
    pub(super) fn new(index: u64, host: Option<u64>) -> Self {
        Self { index, host, runs: Vec::new() }
    }

    /// Takes note of what comes next.
    pub(super) fn note(&mut self, range: Range<u64>, kind: Kind) {
        match self.runs.last_mut() {
            Some((last, known)) if *known == kind && last.end == range.start => last.end = range.end,
            _ => self.runs.push((range, kind)),
        }
    }

    /// Whether any run is of this kind.
    pub(super) fn has(&self, kind: Kind) -> bool {
        self.runs.iter().any(|(_, known)| *known == kind)
    }

    /// Runs that this file answers for: data and zeros.
    pub(super) fn own(&self) -> impl Iterator<Item = Range<u64>> {
        self.runs.iter().filter(|(_, kind)| *kind != Kind::Absent).map(|(range, _)| range.clone())
    }

    /// What nothing is stored in, of a block of `len` bytes.
    pub(super) fn gaps(&self, len: u64) -> impl Iterator<Item = Range<u64>> {
        let data = self.runs.iter().filter(|(_, kind)| *kind == Kind::Data).map(|(range, _)| range.clone());
        let mut next = 0;
        data.chain(std::iter::once(len..len)).filter_map(move |run| {
            let gap = next..run.start;
            next = run.end;
            Some(gap).filter(|gap| !gap.is_empty())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_join_and_gaps_are_what_is_left() {
        let mut block = Block::new(0, None);
        block.note(0..10, Kind::Zero);
        block.note(10..20, Kind::Data);
        block.note(20..30, Kind::Data);
        block.note(30..40, Kind::Absent);
        assert_eq!(block.own().collect::<Vec<_>>(), [0..10, 10..30]);
        assert_eq!(block.gaps(50).collect::<Vec<_>>(), [0..10, 30..50]);
        assert!(block.has(Kind::Zero) && block.has(Kind::Absent));
        let mut full = Block::new(0, None);
        full.note(0..50, Kind::Data);
        assert_eq!(full.gaps(50).count(), 0);
    }
}
