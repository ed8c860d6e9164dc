//! One entry of an L2 table: what a cluster is, and for how many entries that stays true.

use imgfmt_core::{Error, Result};

use crate::cluster::ClusterBits;
use crate::header::Header;
use crate::layout::{
    COMPRESSED, COMPRESSED_SECTOR_LEN, COPIED, HOST_OFFSET_END, OFFSET_MASK, VERSION_2, ZERO, compressed_offset_bits,
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
    /// What bit 0 is.
    bit_0: BitZero,
    /// Whether clusters are in a data file, where byte 0 is a place like any other.
    external: bool,
}

/// What bit 0 of an entry means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BitZero {
    /// The cluster reads as zeros.
    ZeroFlag,
    /// Nothing, and it has to be clear: in version 2.
    Nothing,
    /// Reserved: with extended entries.
    Reserved,
}

impl EntryRules {
    /// The rules of an image with this header.
    pub(crate) fn new(header: &Header) -> Self {
        let bit_0 = match header.version {
            VERSION_2 => BitZero::Nothing,
            _ if header.l2.extended() => BitZero::Reserved,
            _ => BitZero::ZeroFlag,
        };
        Self { cluster: header.cluster, bit_0, external: header.features.data_file() }
    }

    /// What `raw` says.
    ///
    /// # Errors
    ///
    /// [`Malformed`](imgfmt_core::ErrorKind::Malformed) for a zero flag in version 2, for a cluster that is not at a
    /// cluster border, and for a compressed one in an image with a data file.
    pub(crate) fn decode(self, raw: u64) -> Result<Entry> {
        if raw & COMPRESSED != 0 {
            return self.compressed(raw);
        }
        if raw & ZERO != 0 {
            let what = "an L2 entry has bit 0 set, which is the zero flag of version 3 and means nothing in version 2";
            match self.bit_0 {
                BitZero::ZeroFlag => return Ok(Entry::Zero),
                BitZero::Nothing => return Err(Error::malformed(what)),
                BitZero::Reserved => {}
            }
        }
        match raw & OFFSET_MASK {
            0 if !self.names_cluster(raw) => Ok(Entry::Unallocated),
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
            Entry::Unallocated => {
                entries.iter().take_while(|&&raw| raw & TELLING == 0 && !self.names_cluster(raw)).count()
            }
            Entry::Zero => entries.iter().take_while(|&&raw| raw & (COMPRESSED | ZERO) == ZERO).count(),
            Entry::Data(host) => {
                let hosts = (host..).step_by(self.cluster.in_memory());
                entries.iter().zip(hosts).take_while(|&(&raw, host)| raw & TELLING == host).count()
            }
            Entry::Compressed { .. } => 1,
        }
    }

    /// Whether `raw` names a compressed cluster.
    pub(crate) fn is_compressed(self, raw: u64) -> bool {
        raw & COMPRESSED != 0
    }

    /// The rules of extended entries, for tests.
    #[cfg(test)]
    pub(crate) fn extended(cluster: ClusterBits, external: bool) -> Self {
        Self { cluster, bit_0: BitZero::Reserved, external }
    }

    /// Whether an entry that is not compressed has a cluster. Byte 0 is one in a data file, where the COPIED bit says so.
    fn names_cluster(self, raw: u64) -> bool {
        raw & OFFSET_MASK != 0 || (self.external && raw & COPIED != 0)
    }

    /// Splits the descriptor of a compressed cluster.
    fn compressed(self, raw: u64) -> Result<Entry> {
        if self.external {
            return Err(Error::malformed("an L2 entry names a compressed cluster, which a data file cannot have"));
        }
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

/// The L2 entry of a compressed cluster. Specification, "Compressed Clusters Descriptor": the host offset in
/// the low bits, and above it the number of further 512-byte sectors that the stream touches.
pub(crate) fn compressed_entry(host: u64, len: u32, cluster_bits: u32) -> u64 {
    let sectors_shift = compressed_offset_bits(cluster_bits);
    let last = host + u64::from(len.max(1)) - 1;
    let further_sectors = last / COMPRESSED_SECTOR_LEN - host / COMPRESSED_SECTOR_LEN;
    COMPRESSED | (further_sectors << sectors_shift) | host
}

/// The bits that tell entries apart; others are reserved or only of use to a writer.
const TELLING: u64 = OFFSET_MASK | COMPRESSED | ZERO;

#[cfg(test)]
mod tests {
    use imgfmt_core::ErrorKind;

    use super::*;
    use crate::layout::VERSION_3;

    fn rules(version: u32, bits: u32) -> EntryRules {
        let bit_0 = if version == VERSION_2 { BitZero::Nothing } else { BitZero::ZeroFlag };
        EntryRules { cluster: ClusterBits::new(bits).unwrap(), bit_0, external: false }
    }

    #[test]
    fn byte_0_of_a_data_file_is_a_place_where_the_copied_bit_says_so() {
        let rules = EntryRules { external: true, ..rules(VERSION_3, 16) };
        assert_eq!(rules.decode(COPIED).unwrap(), Entry::Data(0));
        assert_eq!(rules.run(Entry::Data(0), &[COPIED, COPIED | 0x1_0000, COPIED]), 2);
        assert_eq!(rules.decode(0).unwrap(), Entry::Unallocated);
        assert_eq!(rules.run(Entry::Unallocated, &[0, 0, COPIED]), 2);
        assert_eq!(rules.decode(COMPRESSED | 0x5_0000).unwrap_err().kind(), ErrorKind::Malformed);
    }

    #[test]
    fn plain_entries_are_told_apart_and_reserved_bits_ignored() {
        let rules = rules(VERSION_3, 16);
        let reserved = 0x3f00_0000_0000_01fe;
        for (raw, entry) in [
            (0, Entry::Unallocated),
            (COPIED | reserved, Entry::Unallocated),
            (ZERO, Entry::Zero),
            (ZERO | COPIED | 0x5_0000, Entry::Zero),
            (0x5_0000, Entry::Data(0x5_0000)),
            (COPIED | reserved | 0x5_0000, Entry::Data(0x5_0000)),
        ] {
            assert_eq!(rules.decode(raw).unwrap(), entry, "{raw:#x}");
        }
        assert_eq!(rules.decode(0x5_0200).unwrap_err().kind(), ErrorKind::Malformed);
    }

    #[test]
    fn version_2_has_no_zero_flag() {
        assert_eq!(rules(VERSION_2, 16).decode(ZERO).unwrap_err().kind(), ErrorKind::Malformed);
        // In a compressed entry the bit is part of the offset.
        let entry = rules(VERSION_2, 16).decode(COMPRESSED | 0x5_0001).unwrap();
        assert_eq!(entry, Entry::Compressed { host: 0x5_0001, stored_len: 511 });
    }

    #[test]
    fn compressed_entries_are_split_by_the_cluster_length() {
        for (bits, offset_bits, most) in [(9, 61, 1), (16, 54, 255), (21, 49, 8191)] {
            let rules = rules(VERSION_3, bits);
            let raw = COMPRESSED | most << offset_bits | 0x1_0007;
            let stored_len = u32::try_from((most + 1) * 512 - 7).unwrap();
            assert_eq!(rules.decode(raw).unwrap(), Entry::Compressed { host: 0x1_0007, stored_len }, "{bits}");
        }
        let beyond = rules(VERSION_3, 9).decode(COMPRESSED | 1 << 56).unwrap_err();
        assert_eq!(beyond.kind(), ErrorKind::OutOfBounds);
    }

    #[test]
    fn a_compressed_entry_counts_the_sectors_it_touches() {
        assert_eq!(compressed_entry(0x5_0000, 512, 16), COMPRESSED | 0x5_0000);
        assert_eq!(compressed_entry(0x5_0000, 513, 16), COMPRESSED | 0x5_0000 | (1 << 54));
        assert_eq!(compressed_entry(0x5_01ff, 2, 16), COMPRESSED | 0x5_01ff | (1 << 54));
        assert_eq!(compressed_entry(0x400, 511, 9), COMPRESSED | 0x400);
    }

    #[test]
    fn a_run_ends_where_the_kind_or_the_order_of_clusters_does() {
        let rules = rules(VERSION_3, 16);
        let run = |entries: &[u64]| rules.run(rules.decode(entries[0]).unwrap(), entries);
        assert_eq!(run(&[0x1_0000, COPIED | 0x2_0000, 0x3_0002, 0x5_0000]), 3);
        assert_eq!(run(&[0x1_0000, 0x2_0000 | ZERO]), 1);
        assert_eq!(run(&[0x1_0000, 0x2_0000 | COMPRESSED]), 1);
        assert_eq!(run(&[0, COPIED, 2, ZERO]), 3);
        assert_eq!(run(&[ZERO, ZERO | 0x9_0000, ZERO | COMPRESSED]), 2);
        assert_eq!(run(&[COMPRESSED, COMPRESSED]), 1);
    }
}
