//! Sector bitmaps: which sectors of a block are stored.

use std::ops::Range;

use imgfmt_core::{Result, Storage};

/// Bits of a sector bitmap: the lowest bit of the first byte is the first sector.
pub(crate) struct Bits<'a> {
    /// The bytes that hold them.
    bytes: &'a [u8],
    /// Bits of the first byte that lie before.
    skip: u64,
    /// How many bits there are.
    count: u64,
}

impl<'a> Bits<'a> {
    /// Reads bits from `first` on of the bitmap at host byte `bitmap`: `wanted` of them, or as many as `buf` has room for.
    ///
    /// # Errors
    ///
    /// As [`Storage::read_at`].
    pub(crate) fn read(buf: &'a mut [u8], storage: &dyn Storage, bitmap: u64, first: u64, wanted: u64) -> Result<Self> {
        let skip = first % 8;
        let count = wanted.min(buf.len() as u64 * 8 - skip);
        let len = usize::try_from((skip + count).div_ceil(8)).unwrap_or(buf.len());
        storage.read_at(&mut buf[..len], bitmap + first / 8)?;
        Ok(Self { bytes: &buf[..len], skip, count })
    }

    /// Runs of bits that are alike, and whether they are set.
    pub(crate) fn runs(&self) -> impl Iterator<Item = (bool, Range<u64>)> {
        let mut next = 0;
        std::iter::from_fn(move || {
            if next >= self.count {
                return None;
            }
            let (start, set) = (next, self.bit(next));
            while next < self.count && self.bit(next) == set {
                next += if self.fills_byte(next, set) { 8 } else { 1 };
            }
            next = next.min(self.count);
            Some((set, start..next))
        })
    }

    /// Whether bit `index` is set.
    fn bit(&self, index: u64) -> bool {
        let at = index + self.skip;
        self.byte(at) >> (at % 8) & 1 != 0
    }

    /// Whether a byte starts with bit `index`, and all of it is as `set` says.
    fn fills_byte(&self, index: u64, set: bool) -> bool {
        let at = index + self.skip;
        at.is_multiple_of(8) && self.byte(at) == if set { 0xff } else { 0 }
    }

    /// The byte that holds bit `at`, those that lie before counted.
    fn byte(&self, at: u64) -> u8 {
        usize::try_from(at / 8).ok().and_then(|at| self.bytes.get(at)).copied().unwrap_or(0)
    }
}

/// Bytes of a sector bitmap that are read at once.
pub(crate) const BITMAP_STEP: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;
    use imgfmt_core::MemoryStorage;

    #[test]
    fn bits_are_runs_from_the_lowest_on() {
        let storage = MemoryStorage::new(vec![0b1110_0001, 0xff, 0xff, 0b0000_0001, 0, 0]);
        let runs = |first, wanted| {
            let mut buf = [0; 5];
            let bits = Bits::read(&mut buf, &storage, 0, first, wanted).unwrap();
            bits.runs().map(|(set, run)| (set, run.start, run.end)).collect::<Vec<_>>()
        };
        assert_eq!(runs(0, 48), [(true, 0, 1), (false, 1, 5), (true, 5, 25), (false, 25, 40)]);
        assert_eq!(runs(3, 4), [(false, 0, 2), (true, 2, 4)]);
        assert_eq!(runs(30, 18), [(false, 0, 18)]);
    }
}
