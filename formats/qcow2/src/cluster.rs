//! The length of clusters, and what follows from it.

use crate::layout::{MAX_CLUSTER_BITS, MIN_CLUSTER_BITS, SUBCLUSTERS, TABLE_ENTRY_LEN};

/// log2 of the cluster length; valid by construction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClusterBits(u32);

impl ClusterBits {
    /// The bits, where they are within the bounds.
    pub(crate) fn new(raw: u32) -> Option<Self> {
        (MIN_CLUSTER_BITS..=MAX_CLUSTER_BITS).contains(&raw).then_some(Self(raw))
    }

    /// The bits.
    pub(crate) fn bits(self) -> u32 {
        self.0
    }

    /// Bytes of a cluster.
    pub(crate) fn len(self) -> u64 {
        1 << self.0
    }

    /// Bytes of a cluster, as the length of a buffer.
    pub(crate) fn in_memory(self) -> usize {
        1 << self.0
    }

    /// Whether `offset` is at a cluster border.
    pub(crate) fn aligns(self, offset: u64) -> bool {
        offset & (self.len() - 1) == 0
    }
}

/// How a disk is divided among L2 tables, each of which is one cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct L2Layout {
    /// Length of the clusters.
    cluster: ClusterBits,
    /// Whether entries are of two words, the second of them for subclusters.
    extended: bool,
}

impl L2Layout {
    /// The tables of an image with clusters of that length.
    pub(crate) fn new(cluster: ClusterBits, extended: bool) -> Self {
        Self { cluster, extended }
    }

    /// Whether entries are extended.
    pub(crate) fn extended(self) -> bool {
        self.extended
    }

    /// log2 of the words of an entry.
    pub(crate) fn entry_word_bits(self) -> u32 {
        u32::from(self.extended)
    }

    /// Words of a table, of 8 bytes each.
    pub(crate) fn words(self) -> u64 {
        self.cluster.len() / TABLE_ENTRY_LEN
    }

    /// Entries of a table.
    pub(crate) fn entries(self) -> u64 {
        self.words() >> self.entry_word_bits()
    }

    /// log2 of the guest bytes that one table covers.
    pub(crate) fn span_bits(self) -> u32 {
        self.cluster.0 + self.entries().trailing_zeros()
    }

    /// log2 of the guest bytes that are allocated as one: a subcluster, or a cluster without them.
    pub(crate) fn grain_bits(self) -> u32 {
        if self.extended { self.cluster.0 - SUBCLUSTERS.trailing_zeros() } else { self.cluster.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_cluster_covers_half_a_gibibyte_with_a_table() {
        let cluster = ClusterBits::new(16).unwrap();
        let plain = L2Layout::new(cluster, false);
        assert_eq!((cluster.len(), plain.entries(), plain.span_bits(), plain.grain_bits()), (65_536, 8192, 29, 16));
        assert!(cluster.aligns(0) && cluster.aligns(65_536) && !cluster.aligns(65_535));
    }

    #[test]
    fn extended_tables_cover_half_as_much_in_subclusters_of_a_thirty_second() {
        let extended = L2Layout::new(ClusterBits::new(16).unwrap(), true);
        assert_eq!((extended.words(), extended.entries(), extended.span_bits()), (8192, 4096, 28));
        assert_eq!(extended.grain_bits(), 11);
    }

    #[test]
    fn lengths_outside_the_bounds_do_not_exist() {
        for raw in [0, 8, 22, 64, u32::MAX] {
            assert_eq!(ClusterBits::new(raw), None, "{raw}");
        }
    }
}
