//! The length of clusters, and what follows from it.

use crate::layout::{MAX_CLUSTER_BITS, MIN_CLUSTER_BITS, TABLE_ENTRY_LEN};

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

    /// Entries of an L2 table, which is one cluster.
    pub(crate) fn l2_entries(self) -> u64 {
        self.len() / TABLE_ENTRY_LEN
    }

    /// log2 of the guest bytes that one L2 table covers.
    pub(crate) fn l2_span_bits(self) -> u32 {
        self.0 + (self.0 - TABLE_ENTRY_LEN.trailing_zeros())
    }

    /// Whether `offset` is at a cluster border.
    pub(crate) fn aligns(self, offset: u64) -> bool {
        offset & (self.len() - 1) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_cluster_covers_half_a_gibibyte_with_a_table() {
        let cluster = ClusterBits::new(16).unwrap();
        assert_eq!((cluster.len(), cluster.l2_entries(), cluster.l2_span_bits()), (65_536, 8192, 29));
        assert!(cluster.aligns(0) && cluster.aligns(65_536) && !cluster.aligns(65_535));
    }

    #[test]
    fn lengths_outside_the_bounds_do_not_exist() {
        for raw in [0, 8, 22, 64, u32::MAX] {
            assert_eq!(ClusterBits::new(raw), None, "{raw}");
        }
    }
}
