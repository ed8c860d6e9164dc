//! Extended L2 entries: a word as without subclusters, and a word that says of each subcluster whether it is stored
//! (lower half) or reads as zeros (upper half).
//!
//! | Stored | Zero | The subcluster |
//! |---|---|---|
//! | 0 | 0 | is not stored: the backing file shows, or zeros |
//! | 1 | 0 | is in the cluster that the first word names |
//! | 0 | 1 | reads as zeros, whether or not there is a cluster |
//! | 1 | 1 | cannot be |
//!
//! The second word of a compressed cluster is reserved.

use imgfmt_core::{Error, Result};

use crate::cluster::ClusterBits;
use crate::entry::{Entry, EntryRules};
use crate::layout::{SUBCLUSTERS, SUBCLUSTERS_STORED};

/// What an extended entry says of its cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extended {
    /// All subclusters are alike, or there are none since it is compressed.
    Whole(Entry),
    /// The subclusters differ.
    Parts(Parts),
}

/// A cluster whose subclusters differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Parts {
    /// Host byte of the cluster, where there is one.
    host: u64,
    /// Which subclusters are stored, and which are zero.
    bitmap: u64,
    /// log2 of the bytes of a subcluster.
    bits: u32,
}

/// Why an extended entry cannot be read: which of its two words is to blame, and the error.
#[derive(Debug)]
pub(crate) struct Blamed {
    /// The word: 0 or 1.
    pub(crate) word: u64,
    /// What is wrong with it.
    pub(crate) error: Error,
}

impl Extended {
    /// What the two words of an entry say.
    ///
    /// # Errors
    ///
    /// As [`EntryRules::decode`]; [`Malformed`](imgfmt_core::ErrorKind::Malformed) for subclusters that are both stored
    /// and zero, and for stored ones without a cluster.
    pub(crate) fn decode(rules: EntryRules, cluster: ClusterBits, [raw, bitmap]: [u64; 2]) -> Result<Self, Blamed> {
        let (stored, zero) = (bitmap & SUBCLUSTERS_STORED, bitmap >> SUBCLUSTERS);
        let entry = match rules.decode(raw) {
            // A cluster that nothing is read from may be anywhere.
            Err(_) if !rules.is_compressed(raw) && stored == 0 => Entry::Unallocated,
            entry => entry.map_err(|error| Blamed { word: 0, error })?,
        };
        if matches!(entry, Entry::Compressed { .. }) {
            return Ok(Self::Whole(entry));
        }
        let wrong = |what: String| Blamed { word: 1, error: Error::malformed(what).field("subcluster bitmap") };
        if stored & zero != 0 {
            let first = (stored & zero).trailing_zeros();
            return Err(wrong(format!(
                "is {bitmap:#018x}, which says of subcluster {first} that it is stored and zero"
            )));
        }
        match entry {
            Entry::Data(host) if stored == SUBCLUSTERS_STORED => Ok(Self::Whole(Entry::Data(host))),
            Entry::Unallocated if stored != 0 => Err(wrong(format!(
                "is {bitmap:#018x}, which says of subclusters that they are stored, but no cluster is"
            ))),
            _ if zero == SUBCLUSTERS_STORED => Ok(Self::Whole(Entry::Zero)),
            _ if bitmap == 0 => Ok(Self::Whole(Entry::Unallocated)),
            Entry::Data(host) => Ok(Self::Parts(Parts::new(host, bitmap, cluster))),
            _ => Ok(Self::Parts(Parts::new(0, bitmap, cluster))),
        }
    }

    /// How many entries of `words`, of which the first was decoded to this, go on alike; for stored clusters, with the
    /// next host cluster.
    pub(crate) fn run(self, rules: EntryRules, cluster: ClusterBits, words: &[u64]) -> usize {
        let mut expected = self;
        let mut count = 0;
        for pair in words.chunks_exact(2) {
            let next = Self::decode(rules, cluster, [pair[0], pair[1]]);
            if !next.is_ok_and(|next| next == expected) {
                break;
            }
            count += 1;
            match expected {
                Self::Whole(Entry::Data(host)) => expected = Self::Whole(Entry::Data(host + cluster.len())),
                Self::Whole(Entry::Unallocated | Entry::Zero) => {}
                Self::Whole(Entry::Compressed { .. }) | Self::Parts(_) => break,
            }
        }
        count.max(1)
    }
}

impl Parts {
    /// The parts of a cluster at host byte `host`.
    fn new(host: u64, bitmap: u64, cluster: ClusterBits) -> Self {
        Self { host, bitmap, bits: cluster.bits() - SUBCLUSTERS.trailing_zeros() }
    }

    /// What subcluster `first` is, and how many from there on are the same; as [`Entry::Data`], from its own host byte.
    pub(crate) fn run(self, first: u32) -> (Entry, u32) {
        let kind = self.kind(first);
        let end = (first..SUBCLUSTERS).find(|&index| self.kind(index) != kind).unwrap_or(SUBCLUSTERS);
        let entry = match kind {
            0 => Entry::Unallocated,
            1 => Entry::Data(self.host + (u64::from(first) << self.bits)),
            _ => Entry::Zero,
        };
        (entry, end - first)
    }

    /// The two bits of subcluster `index`.
    fn kind(self, index: u32) -> u64 {
        self.bitmap >> index & 1 | (self.bitmap >> (SUBCLUSTERS + index) & 1) << 1
    }
}

#[cfg(test)]
mod tests {
    use imgfmt_core::ErrorKind;

    use super::*;
    use crate::layout::{COMPRESSED, COPIED};

    const CLUSTER: u64 = 0x5_0000;

    fn cluster() -> ClusterBits {
        ClusterBits::new(16).unwrap()
    }

    fn decode(raw: u64, bitmap: u64) -> Result<Extended, Blamed> {
        Extended::decode(EntryRules::extended(cluster(), false), cluster(), [raw, bitmap])
    }

    #[test]
    fn clusters_of_one_kind_are_whole() {
        for (raw, bitmap, entry) in [
            (0, 0, Entry::Unallocated),
            (CLUSTER | COPIED, 0, Entry::Unallocated),
            (CLUSTER | COPIED, SUBCLUSTERS_STORED, Entry::Data(CLUSTER)),
            (CLUSTER | 1, SUBCLUSTERS_STORED, Entry::Data(CLUSTER)),
            (0, SUBCLUSTERS_STORED << 32, Entry::Zero),
            (CLUSTER, SUBCLUSTERS_STORED << 32, Entry::Zero),
            (COMPRESSED | 0x200, 7, Entry::Compressed { host: 0x200, stored_len: 512 }),
        ] {
            assert_eq!(decode(raw, bitmap).unwrap(), Extended::Whole(entry), "{raw:#x} {bitmap:#x}");
        }
    }

    #[test]
    fn parts_are_told_apart_to_the_subcluster() {
        let Extended::Parts(parts) = decode(CLUSTER, 0x8000_000e | 0x30 << 32).unwrap() else { panic!("parts") };
        let mut at = 0;
        let mut runs = Vec::new();
        while at < SUBCLUSTERS {
            let (entry, count) = parts.run(at);
            runs.push((entry, count));
            at += count;
        }
        assert_eq!(
            runs,
            [
                (Entry::Unallocated, 1),
                (Entry::Data(CLUSTER + 2048), 3),
                (Entry::Zero, 2),
                (Entry::Unallocated, 25),
                (Entry::Data(CLUSTER + 31 * 2048), 1)
            ]
        );
        assert_eq!(parts.run(2), (Entry::Data(CLUSTER + 4096), 2), "a run may be entered anywhere");
    }

    #[test]
    fn what_cannot_be_is_blamed_on_its_word() {
        for (raw, bitmap, word) in [(CLUSTER, 2 | 2 << 32, 1), (0, 1, 1), (COPIED, 1, 1), (CLUSTER + 512, 1, 0)] {
            let blamed = decode(raw, bitmap).unwrap_err();
            assert_eq!((blamed.word, blamed.error.kind()), (word, ErrorKind::Malformed), "{raw:#x} {bitmap:#x}");
        }
        assert_eq!(decode(CLUSTER + 512, 0).unwrap(), Extended::Whole(Entry::Unallocated), "nothing is read from it");
    }

    #[test]
    fn byte_0_is_a_cluster_of_a_data_file() {
        let rules = EntryRules::extended(cluster(), true);
        let entry = Extended::decode(rules, cluster(), [COPIED, SUBCLUSTERS_STORED]).unwrap();
        assert_eq!(entry, Extended::Whole(Entry::Data(0)));
        let words = [COPIED, SUBCLUSTERS_STORED, COPIED | 0x1_0000, SUBCLUSTERS_STORED, COPIED | 0x2_0000, 1];
        assert_eq!(entry.run(rules, cluster(), &words), 2);
    }
}
