//! Refcounts of every width in a block.

use std::ops::Range;

use crate::cluster::ClusterBits;
use crate::layout::V2_REFCOUNT_ORDER;

/// How wide the refcounts of an image are. Counts of less than a byte fill it from its lowest bit on; longer ones are
/// big-endian. Specification, "Host cluster management".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RefcountWidth {
    /// log2 of the bits of a refcount: 0 to 6.
    order: u32,
}

impl RefcountWidth {
    /// The width of `1 << order` bits.
    pub(crate) fn new(order: u32) -> Self {
        Self { order }
    }

    /// The largest refcount.
    pub(crate) fn max(self) -> u64 {
        u64::MAX >> (64 - (1u32 << self.order))
    }

    /// How many refcounts `len` bytes hold.
    pub(crate) fn in_bytes(self, len: u64) -> u64 {
        (len * 8) >> self.order
    }

    /// How many refcounts a block holds.
    pub(crate) fn per_block(self, cluster: ClusterBits) -> u64 {
        self.in_bytes(cluster.len())
    }

    /// The bytes that refcount `index` is in.
    pub(crate) fn bytes_of(self, index: usize) -> Range<usize> {
        let len = (1usize << self.order) / 8;
        if len == 0 {
            let byte = index << self.order >> 3;
            return byte..byte + 1;
        }
        index * len..(index + 1) * len
    }

    /// Refcount `index` of those in `bytes`.
    pub(crate) fn get(self, bytes: &[u8], index: usize) -> u64 {
        if self.order == V2_REFCOUNT_ORDER {
            return u64::from(u16::from_be_bytes([bytes[2 * index], bytes[2 * index + 1]]));
        }
        let number = bytes[self.bytes_of(index)].iter().fold(0u64, |number, &byte| number << 8 | u64::from(byte));
        number >> self.shift(index) & self.max()
    }

    /// Fills `counts` with the refcounts from `first` on of those in `bytes`.
    pub(crate) fn get_run(self, bytes: &[u8], first: usize, counts: &mut [u64]) {
        if self.order == V2_REFCOUNT_ORDER {
            let pairs = bytes[2 * first..].chunks_exact(2);
            for (count, pair) in counts.iter_mut().zip(pairs) {
                *count = u64::from(u16::from_be_bytes([pair[0], pair[1]]));
            }
            return;
        }
        for (index, count) in (first..).zip(counts) {
            *count = self.get(bytes, index);
        }
    }

    /// Makes `value`, which fits, refcount `index` of those in `bytes`.
    pub(crate) fn set(self, bytes: &mut [u8], index: usize, value: u64) {
        let place = &mut bytes[self.bytes_of(index)];
        if let [byte] = place {
            let shift = self.shift(index);
            let mask = (self.max() << shift) as u8;
            *byte = *byte & !mask | ((value << shift) as u8 & mask);
            return;
        }
        let number = value.to_be_bytes();
        let skip = number.len() - place.len();
        place.copy_from_slice(&number[skip..]);
    }

    /// How far from the lowest bit of its byte refcount `index` is.
    fn shift(self, index: usize) -> u32 {
        let in_byte = 8u32 >> self.order;
        if in_byte == 0 { 0 } else { (index as u32 & (in_byte - 1)) << self.order }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_width_gives_back_what_was_set_and_leaves_the_others_alone() {
        for order in 0..=6 {
            let width = RefcountWidth::new(order);
            let count = usize::try_from(width.in_bytes(64)).unwrap();
            for background in [0, 0xff] {
                let mut bytes = [background; 64];
                for index in 0..count {
                    let before = bytes;
                    width.set(&mut bytes, index, (index as u64 + 1) & width.max());
                    assert_eq!(width.get(&bytes, index), (index as u64 + 1) & width.max(), "{order} {index}");
                    for other in (0..count).filter(|&other| other != index) {
                        assert_eq!(width.get(&bytes, other), width.get(&before, other), "{order} {index} {other}");
                    }
                    let mut run = [0; 3];
                    width.get_run(&bytes, index, &mut run[..(count - index).min(3)]);
                    let alone = [0, 1, 2].map(|by| if index + by < count { width.get(&bytes, index + by) } else { 0 });
                    assert_eq!(run, alone, "{order} {index}");
                }
            }
        }
    }

    #[test]
    fn small_counts_begin_at_the_lowest_bit_and_large_ones_are_big_endian() {
        let get = |order, index| RefcountWidth::new(order).get(&[0b1000_0001, 0x12, 0x34, 0, 0, 0, 0, 1], index);
        assert_eq!((get(0, 0), get(0, 1), get(0, 7)), (1, 0, 1));
        assert_eq!((get(1, 0), get(1, 3)), (1, 2));
        assert_eq!((get(2, 2), get(2, 3)), (2, 1));
        assert_eq!((get(3, 1), get(4, 0), get(4, 3)), (0x12, 0x8112, 1));
        assert_eq!((get(5, 0), get(6, 0)), (0x8112_3400, 0x8112_3400_0000_0001));
        assert_eq!((RefcountWidth::new(0).max(), RefcountWidth::new(4).max()), (1, 0xffff));
        assert_eq!(RefcountWidth::new(6).max(), u64::MAX);
    }
}
