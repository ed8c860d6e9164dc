//! One entry of an L2 table.

use imgfmt_core::{Error, Result};

use crate::layout::COMPRESSED;

/// What an L2 entry says of its cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// Nothing: the backing file shows, or zeros.
    Absent,
    /// It is stored as it is, from this host byte on.
    Data(u64),
    /// It is stored compressed.
    Compressed {
        /// First host byte of the stream.
        host: u64,
        /// Bytes of the stream.
        stored_len: u32,
    },
}

impl Entry {
    /// What `raw` says in an image with clusters of `1 << cluster_bits` bytes.
    ///
    /// # Errors
    ///
    /// [`Malformed`](imgfmt_core::ErrorKind::Malformed) for a compressed cluster of no bytes.
    pub(crate) fn decode(raw: u64, cluster_bits: u32) -> Result<Self> {
        if raw & COMPRESSED == 0 {
            return Ok(if raw == 0 { Self::Absent } else { Self::Data(raw) });
        }
        let offset_bits = 63 - cluster_bits;
        let host = raw & ((1 << offset_bits) - 1);
        // At most 16 bits count the bytes, so that this never saturates.
        let stored_len = u32::try_from((raw & !COMPRESSED) >> offset_bits).unwrap_or(u32::MAX);
        if stored_len == 0 {
            return Err(Error::malformed("an L2 entry names a compressed cluster of 0 bytes"));
        }
        Ok(Self::Compressed { host, stored_len })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_told_apart() {
        assert_eq!(Entry::decode(0, 12).unwrap(), Entry::Absent);
        assert_eq!(Entry::decode(0x5001, 12).unwrap(), Entry::Data(0x5001));
        for bits in [9, 12, 16] {
            let raw = COMPRESSED | 37 << (63 - bits) | 0x1_0007;
            assert_eq!(Entry::decode(raw, bits).unwrap(), Entry::Compressed { host: 0x1_0007, stored_len: 37 });
            let most = Entry::decode(u64::MAX, bits).unwrap();
            assert_eq!(most, Entry::Compressed { host: (1 << (63 - bits)) - 1, stored_len: (1 << bits) - 1 });
            assert!(Entry::decode(COMPRESSED | 7, bits).is_err());
        }
    }
}
