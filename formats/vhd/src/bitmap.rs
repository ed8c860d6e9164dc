//! The sector bitmap of a block.

use imgfmt_core::{Error, Result, Storage, StorageExt};

use crate::layout::{SECTOR_LEN, bitmap_len};

/// Which sectors of a block are stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SectorBitmap {
    /// All of them.
    All,
    /// Those whose bit is set: the highest bit of a byte comes first.
    Some(Box<[u8]>),
}

impl SectorBitmap {
    /// Reads the bitmap at byte `at` of a block of `block_len` bytes. It has to end before `end`.
    pub(crate) fn read(storage: &dyn Storage, at: u64, block_len: u64, end: u64) -> Result<Self> {
        let len = (block_len / SECTOR_LEN).div_ceil(8);
        if at.saturating_add(bitmap_len(block_len)) > end {
            let what = format!("the sector bitmap of a block starts here, but data ends at byte {end}");
            return Err(Error::out_of_bounds(what).at(at));
        }
        Ok(Self::of(storage.read_vec(at, usize::try_from(len).unwrap_or(usize::MAX))?, block_len))
    }

    /// The bitmap that `bytes` begin with, of a block of `block_len` bytes.
    pub(crate) fn of(mut bytes: Vec<u8>, block_len: u64) -> Self {
        let sectors = block_len / SECTOR_LEN;
        bytes.truncate(usize::try_from(sectors.div_ceil(8)).unwrap_or(usize::MAX));
        let is_full = match bytes.as_slice() {
            // A block of less than 8 sectors leaves the rest of its byte unused.
            [byte] => u64::from(byte.leading_ones()) >= sectors,
            bytes => bytes.iter().all(|&byte| byte == 0xff),
        };
        if is_full { Self::All } else { Self::Some(bytes.into_boxed_slice()) }
    }

    /// Whether sector `first` is stored, and the first sector up to `end` of which that is not true any more.
    pub(crate) fn run(&self, first: u64, end: u64) -> (bool, u64) {
        let Self::Some(bits) = self else { return (true, end) };
        let stored = is_set(bits, first);
        let alike = if stored { 0xff } else { 0 };
        let mut next = first + 1;
        while next < end {
            if next.is_multiple_of(8) && byte(bits, next / 8) == alike {
                next += 8;
            } else if is_set(bits, next) == stored {
                next += 1;
            } else {
                break;
            }
        }
        (stored, next.min(end))
    }
}

/// Whether the bit of `sector` is set.
fn is_set(bits: &[u8], sector: u64) -> bool {
    byte(bits, sector / 8) & (0x80 >> (sector % 8)) != 0
}

/// Byte number `index`.
fn byte(bits: &[u8], index: u64) -> u8 {
    usize::try_from(index).ok().and_then(|index| bits.get(index)).copied().unwrap_or(0)
}

/// Sets the bits from `first` up to `end`: the highest of a byte comes first.
pub(crate) fn set_bits(bitmap: &mut [u8], first: u64, end: u64) {
    let mut bit = first;
    while bit < end {
        let index = usize::try_from(bit / 8).unwrap_or(usize::MAX);
        let Some(byte) = bitmap.get_mut(index) else { return };
        let next = (bit / 8 * 8 + 8).min(end);
        let (skip, count) = (bit % 8, next - bit);
        *byte |= (0xff_u16 << (8 - count) & 0xff) as u8 >> skip;
        bit = next;
    }
}

#[cfg(test)]
mod tests {
    use imgfmt_core::MemoryStorage;

    use super::*;

    #[test]
    fn runs_follow_the_bits_from_the_highest_on() {
        let bitmap = SectorBitmap::Some(Box::new([0b1110_0000, 0xff, 0xff, 0b1000_0001, 0, 0]));
        assert_eq!(bitmap.run(0, 48), (true, 3));
        assert_eq!(bitmap.run(3, 48), (false, 8));
        assert_eq!(bitmap.run(9, 48), (true, 25));
        assert_eq!(bitmap.run(9, 20), (true, 20));
        assert_eq!(bitmap.run(31, 48), (true, 32));
        assert_eq!(bitmap.run(32, 48), (false, 48));
        assert_eq!(bitmap.run(32, 33), (false, 33));
        assert_eq!(SectorBitmap::All.run(5, 77), (true, 77));
    }

    #[test]
    fn a_full_bitmap_of_any_size_is_all() {
        for block in [512, 1024, 2048, 4096, 8192, 2 << 20] {
            let storage = MemoryStorage::new(vec![0xff; 4096]);
            assert_eq!(SectorBitmap::read(&storage, 0, block, 4096).unwrap(), SectorBitmap::All);
            let storage = MemoryStorage::new(vec![0x7f; 4096]);
            assert_ne!(SectorBitmap::read(&storage, 0, block, 4096).unwrap(), SectorBitmap::All);
            assert!(SectorBitmap::read(&storage, 4096 - 511, block, 4096).is_err());
        }
    }

    #[test]
    fn bits_are_set_from_the_highest_on() {
        let mut bitmap = [0; 3];
        set_bits(&mut bitmap, 1, 3);
        set_bits(&mut bitmap, 7, 17);
        assert_eq!(bitmap, [0b0110_0001, 0xff, 0x80]);
        set_bits(&mut bitmap, 0, 0);
        set_bits(&mut bitmap, 23, 99);
        assert_eq!(bitmap, [0b0110_0001, 0xff, 0x81]);
    }
}
