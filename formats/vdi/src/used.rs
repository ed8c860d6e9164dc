//! Which blocks of a file are in use.

use std::ops::Range;

/// A bit for each block of a file; those behind the last bit are in no use.
#[derive(Clone, Debug, Default)]
pub(crate) struct Used {
    /// The bits.
    words: Vec<u64>,
    /// How many are set.
    count: u64,
}

impl Used {
    /// Notes that block `number` is in use; returns whether it was not before.
    pub(crate) fn insert(&mut self, number: u64) -> bool {
        let Ok(word) = usize::try_from(number / 64) else { return false };
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        let is_new = self.words[word] >> (number % 64) & 1 == 0;
        self.words[word] |= 1 << (number % 64);
        self.count += u64::from(is_new);
        is_new
    }

    /// Notes that block `number` is in no use any more.
    pub(crate) fn remove(&mut self, number: u64) {
        if self.contains(number) {
            self.count -= 1;
            self.words[usize::try_from(number / 64).unwrap_or(usize::MAX)] &= !(1 << (number % 64));
        }
    }

    /// Whether block `number` is in use.
    pub(crate) fn contains(&self, number: u64) -> bool {
        let word = usize::try_from(number / 64).ok().and_then(|word| self.words.get(word));
        word.is_some_and(|word| word >> (number % 64) & 1 == 1)
    }

    /// How many blocks are in use.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// The block behind the last one that is in use.
    pub(crate) fn end(&self) -> u64 {
        let last = self.words.iter().rposition(|word| *word != 0);
        last.map_or(0, |last| last as u64 * 64 + 64 - u64::from(self.words[last].leading_zeros()))
    }

    /// The blocks of `range` that are in no use.
    pub(crate) fn holes(&self, range: Range<u64>) -> impl Iterator<Item = u64> + '_ {
        range.filter(|number| !self.contains(*number))
    }

    /// The same without the first `count` blocks, which are in no use.
    pub(crate) fn without_first(&self, count: u64) -> Self {
        let mut rest = Self::default();
        for number in (count..self.end()).filter(|number| self.contains(*number)) {
            rest.insert(number - count);
        }
        rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_counted_and_holes_are_found() {
        let mut used = Used::default();
        assert_eq!((used.end(), used.count(), used.holes(0..3).count()), (0, 0, 3));
        assert!(used.insert(70) && used.insert(2) && !used.insert(70));
        assert_eq!((used.end(), used.count(), used.holes(0..4).collect::<Vec<_>>()), (71, 2, vec![0, 1, 3]));
        let rest = used.without_first(2);
        assert!(rest.contains(0) && rest.contains(68) && rest.count() == 2);
        used.remove(70);
        used.remove(70);
        assert_eq!((used.end(), used.count()), (3, 1));
    }
}
