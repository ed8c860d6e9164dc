//! What host clusters are used as, and which uses go together.

/// What a cluster is used as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub(super) enum Kind {
    /// Metadata that has its clusters for itself: header, L1 tables, snapshots, bitmaps, LUKS header.
    Fixed = 1 << 11,
    /// An L2 table.
    Table = 1 << 12,
    /// A cluster of guest data, or a zero cluster that keeps its place.
    Data = 1 << 13,
    /// Compressed guest data, which shares clusters with its like.
    Compressed = 1 << 14,
    /// The refcount table and its blocks.
    Refcounts = 1 << 15,
}

/// Everything that a cluster is used as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kinds(pub(super) u16);

impl Kinds {
    /// Whether two uses of a cluster cannot both be right, where it is used `count` times in all.
    pub(super) fn overlap(self, count: u64) -> bool {
        let alone = self.0 & (Kind::Fixed as u16 | Kind::Refcounts as u16) != 0;
        self.0.count_ones() > 1 || (alone && count > 1)
    }

    /// Whether uses that cannot all be right are left when the refcounts are put elsewhere.
    pub(super) fn overlap_beside_refcounts(self, count: u64) -> bool {
        let refcounts = self.0 & Kind::Refcounts as u16;
        if refcounts == 0 {
            return self.overlap(count);
        }
        // How many of the uses are of which kind is not known; two others of metadata count twice or more.
        Self(self.0 ^ refcounts).overlap(count.saturating_sub(1))
    }

    /// Whether the refcount structures are among them.
    pub(super) fn refcounts(self) -> bool {
        self.0 & Kind::Refcounts as u16 != 0
    }

    /// The uses in words.
    pub(super) fn names(self) -> String {
        let named = [
            (Kind::Fixed, "metadata"),
            (Kind::Refcounts, "refcounts"),
            (Kind::Table, "L2 table"),
            (Kind::Data, "data"),
            (Kind::Compressed, "compressed data"),
        ];
        let names: Vec<_> = named.iter().filter(|(kind, _)| self.0 & *kind as u16 != 0).map(|named| named.1).collect();
        names.join(" and ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_share_a_cluster_overlaps() {
        let kinds = |list: &[Kind]| Kinds(list.iter().fold(0, |all, kind| all | *kind as u16));
        assert!(!kinds(&[Kind::Data]).overlap(2) && !kinds(&[Kind::Table]).overlap(9));
        assert!(kinds(&[Kind::Fixed]).overlap(2) && kinds(&[Kind::Data, Kind::Compressed]).overlap(2));
        assert!(kinds(&[Kind::Data, Kind::Table]).overlap(2) && kinds(&[Kind::Refcounts]).overlap(2));
        assert!(!kinds(&[Kind::Refcounts, Kind::Data]).overlap_beside_refcounts(2));
        assert!(kinds(&[Kind::Refcounts, Kind::Data, Kind::Fixed]).overlap_beside_refcounts(3));
        assert!(!kinds(&[Kind::Refcounts]).overlap_beside_refcounts(2));
    }
}
