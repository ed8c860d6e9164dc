//! One entry of an L2 table: what a cluster is, and for how many entries that stays true.

use imgfmt_core::{Error, Result};

use crate::header::ClusterBits;
use crate::layout::{
    COMPRESSED, COMPRESSED_SECTOR_LEN, HOST_OFFSET_END, OFFSET_MASK, VERSION_2, ZERO, compressed_offset_bits,
};

/// What an L2 entry says of its cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// Nothing: the backing file shows, or zeros.
    Unallocated,
    /// It reads as zeros.
    Zero,
    /// It is stored as it is, from this host byte on.
    Data(u64),
    /// It is stored compressed.
    Compressed {
        /// First host byte of the stream.
        host: u64,
        /// Bytes from there to the end of the last sector that the stream may touch.
        stored_len: u32,
    },
}

/// How the entries of one image are read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EntryRules {
    /// Length of the clusters.
    cluster: ClusterBits,
    /// Whether bit 0 is the zero flag; version 2 has none.
    zero_flag: bool,
}

impl EntryRules {
    /// The rules of an image of `version`.
    pub(crate) fn new(version: u32, cluster: ClusterBits) -> Self {
        Self { cluster, zero_flag: version != VERSION_2 }
    }

    /// What `raw` says.
    ///
    /// # Errors
    ///
    /// [`Malformed`](imgfmt_core::ErrorKind::Malformed) for a zero flag in version 2, and for a cluster
    /// that is not at a cluster border.
    pub(crate) fn decode(self, raw: u64) -> Result<Entry> {
        if raw & COMPRESSED != 0 {
            return self.compressed(raw);
        }
        if raw & ZERO != 0 {
            let what = "an L2 entry has bit 0 set, which is the zero flag of version 3 and means nothing in version 2";
            return if self.zero_flag { Ok(Entry::Zero) } else { Err(Error::malformed(what)) };
        }
        match raw & OFFSET_MASK {
            0 => Ok(Entry::Unallocated),
            host if self.cluster.aligns(host) => Ok(Entry::Data(host)),
            host => Err(Error::malformed(format!(
                "an L2 entry names a cluster at byte {host}, which is no multiple of the cluster of {} bytes",
                self.cluster.len()
            ))),
        }
    }

    /// How many of `entries`, of which the first was decoded to `first`, go on alike: the same kind, and
    /// for data the next host cluster.
    pub(crate) fn run(self, first: Entry, entries: &[u64]) -> usize {
        match first {
            Entry::Unallocated => entries.iter().take_while(|&&raw| raw & TELLING == 0).count(),
            Entry::Zero => entries.iter().take_while(|&&raw| raw & (COMPRESSED | ZERO) == ZERO).count(),
            Entry::Data(host) => {
                let hosts = (host..).step_by(self.cluster.in_memory());
                entries.iter().zip(hosts).take_while(|&(&raw, host)| raw & TELLING == host).count()
            }
            Entry::Compressed { .. } => 1,
        }
    }

    /// Splits the descriptor of a compressed cluster.
    fn compressed(self, raw: u64) -> Result<Entry> {
        let offset_bits = compressed_offset_bits(self.cluster.bits());
        let host = raw & ((1 << offset_bits) - 1);
        if host >= HOST_OFFSET_END {
            return Err(Error::out_of_bounds(format!("an L2 entry names a compressed cluster at byte {host}")));
        }
        let additional = (raw & (COMPRESSED - 1)) >> offset_bits;
        let stored_len = (additional + 1) * COMPRESSED_SECTOR_LEN - host % COMPRESSED_SECTOR_LEN;
        // At most 13 bits count sectors, so that this never saturates.
        Ok(Entry::Compressed { host, stored_len: u32::try_from(stored_len).unwrap_or(u32::MAX) })
    }
}

/// The bits that tell entries apart; others are reserved or only of use to a writer.
const TELLING: u64 = OFFSET_MASK | COMPRESSED | ZERO;
