//! What a check of this format can find.

use imgfmt_core::{Finding, Repair, Severity};

/// A kind of finding: its name, how bad it is, and the least repair that mends it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rule {
    /// The stable name.
    pub(super) id: &'static str,
    /// How bad it is.
    pub(super) severity: Severity,
    /// What mends it.
    pub(super) repair: Option<Repair>,
}

impl Rule {
    /// Damage that no repair mends.
    const fn corruption(id: &'static str) -> Self {
        Self { id, severity: Severity::Corruption, repair: None }
    }

    /// Damage that [`Repair::All`] mends.
    const fn mendable(id: &'static str) -> Self {
        Self { id, severity: Severity::Corruption, repair: Some(Repair::All) }
    }

    /// Damage that any repair mends: what is right follows from the refcounts.
    const fn consequence(id: &'static str) -> Self {
        Self { id, severity: Severity::Corruption, repair: Some(Repair::Leaks) }
    }

    /// Something worth knowing.
    const fn warning(id: &'static str, repair: Option<Repair>) -> Self {
        Self { id, severity: Severity::Warning, repair }
    }

    /// The finding that `what` was seen.
    pub(super) fn finding(self, what: impl Into<String>) -> Finding {
        let finding = Finding::new(self.id, self.severity, what);
        match self.repair {
            Some(repair) => finding.mended_by(repair),
            None => finding,
        }
    }
}

/// A refcount is higher than the cluster is used.
pub(super) const REFCOUNT_HIGH: Rule =
    Rule { id: "qcow2-refcount-high", severity: Severity::Leak, repair: Some(Repair::Leaks) };
/// A refcount is lower than the cluster is used.
pub(super) const REFCOUNT_LOW: Rule = Rule::mendable("qcow2-refcount-low");
/// A cluster is used more often than a refcount can say.
pub(super) const REFCOUNT_OVERFLOW: Rule = Rule::corruption("qcow2-refcount-overflow");
/// The header names no place where a refcount table can be.
pub(super) const REFCOUNT_TABLE_LOST: Rule = Rule::mendable("qcow2-refcount-table-lost");
/// The refcount table passes the end of the file.
pub(super) const REFCOUNT_TABLE_OUTSIDE: Rule = Rule::mendable("qcow2-refcount-table-outside");
/// An entry of the refcount table has reserved bits set.
pub(super) const REFCOUNT_TABLE_RESERVED: Rule = Rule::mendable("qcow2-refcount-table-reserved");
/// A refcount block is at no cluster border.
pub(super) const REFCOUNT_BLOCK_UNALIGNED: Rule = Rule::mendable("qcow2-refcount-block-unaligned");
/// A refcount block is behind the end of the file.
pub(super) const REFCOUNT_BLOCK_OUTSIDE: Rule = Rule::mendable("qcow2-refcount-block-outside");
/// A refcount block is named twice.
pub(super) const REFCOUNT_BLOCK_TWICE: Rule = Rule::mendable("qcow2-refcount-block-twice");
/// A cluster is used as two things that cannot both be right.
pub(super) const OVERLAP: Rule = Rule::corruption("qcow2-overlap");
/// A cluster of the refcount structures is used as something else, too.
pub(super) const OVERLAP_REFCOUNTS: Rule = Rule::mendable("qcow2-overlap-refcounts");
/// A table lies across another one.
pub(super) const TABLE_OVERLAP: Rule = Rule::corruption("qcow2-table-overlap");
/// A structure passes the end of the file.
pub(super) const METADATA_OUTSIDE: Rule = Rule::corruption("qcow2-metadata-outside");
/// The header names no L1 table that can be followed.
pub(super) const L1_LOST: Rule = Rule::corruption("qcow2-l1-lost");
/// An L1 entry has reserved bits set.
pub(super) const L1_RESERVED: Rule = Rule::mendable("qcow2-l1-reserved");
/// An L1 entry's COPIED flag does not say whether the refcount is 1.
pub(super) const L1_COPIED: Rule = Rule::consequence("qcow2-l1-copied");
/// An L2 table is at no cluster border.
pub(super) const L2_UNALIGNED: Rule = Rule::corruption("qcow2-l2-unaligned");
/// An L2 table is behind the end of the file.
pub(super) const L2_OUTSIDE: Rule = Rule::corruption("qcow2-l2-outside");
/// The file ends inside an L2 table.
pub(super) const L2_CUT: Rule = Rule::warning("qcow2-l2-cut", None);
/// An L2 entry has reserved bits set.
pub(super) const L2_RESERVED: Rule = Rule::mendable("qcow2-l2-reserved");
/// An L2 entry's COPIED flag does not say whether the refcount is 1.
pub(super) const L2_COPIED: Rule = Rule::consequence("qcow2-l2-copied");
/// A zero flag in version 2.
pub(super) const L2_ZERO_V2: Rule = Rule::corruption("qcow2-l2-zero-v2");
/// The COPIED flag of a compressed cluster.
pub(super) const COMPRESSED_COPIED: Rule = Rule::mendable("qcow2-compressed-copied");
/// A subcluster bitmap of a compressed cluster.
pub(super) const COMPRESSED_BITMAP: Rule = Rule::mendable("qcow2-compressed-bitmap");
/// A compressed cluster in an image with a data file.
pub(super) const COMPRESSED_EXTERNAL: Rule = Rule::corruption("qcow2-compressed-external");
/// A data cluster at no cluster border.
pub(super) const DATA_UNALIGNED: Rule = Rule::corruption("qcow2-data-unaligned");
/// A data cluster behind the end of the file.
pub(super) const DATA_OUTSIDE: Rule = Rule::corruption("qcow2-data-outside");
/// A data cluster in which the file ends.
pub(super) const DATA_CUT: Rule = Rule::corruption("qcow2-data-cut");
/// A cluster of a data file that is not at its own guest offset.
pub(super) const DATA_FILE_OFFSET: Rule = Rule::corruption("qcow2-data-file-offset");
/// A zero cluster that keeps a place at no cluster border.
pub(super) const ZERO_UNALIGNED: Rule = Rule::mendable("qcow2-zero-unaligned");
/// A zero cluster that keeps a place behind the end of the file.
pub(super) const ZERO_OUTSIDE: Rule = Rule::mendable("qcow2-zero-outside");
/// A subcluster that is both stored and zero.
pub(super) const SUBCLUSTER_BOTH: Rule = Rule::corruption("qcow2-subcluster-both");
/// A subcluster that is stored in no cluster.
pub(super) const SUBCLUSTER_NO_CLUSTER: Rule = Rule::corruption("qcow2-subcluster-no-cluster");
/// The header names no snapshot table that can be followed.
pub(super) const SNAPSHOTS_LOST: Rule = Rule::corruption("qcow2-snapshots-lost");
/// An entry of the snapshot table cannot be read.
pub(super) const SNAPSHOT_MALFORMED: Rule = Rule::corruption("qcow2-snapshot-malformed");
/// An entry of the snapshot table lacks what version 3 asks for.
pub(super) const SNAPSHOT_INCOMPLETE: Rule = Rule::corruption("qcow2-snapshot-incomplete");
/// The L1 table of a snapshot is at no cluster border.
pub(super) const SNAPSHOT_L1_UNALIGNED: Rule = Rule::corruption("qcow2-snapshot-l1-unaligned");
/// The L1 table of a snapshot is too large.
pub(super) const SNAPSHOT_L1_TOO_LARGE: Rule = Rule::corruption("qcow2-snapshot-l1-too-large");
/// The L1 table of a snapshot does not cover its disk.
pub(super) const SNAPSHOT_L1_SHORT: Rule = Rule::corruption("qcow2-snapshot-l1-short");
/// Two snapshots have one id.
pub(super) const SNAPSHOT_ID_TWICE: Rule = Rule::warning("qcow2-snapshot-id-twice", None);
/// Two snapshots have one name.
pub(super) const SNAPSHOT_NAME_TWICE: Rule = Rule::warning("qcow2-snapshot-name-twice", None);
/// The bitmap directory cannot be read.
pub(super) const BITMAPS_MALFORMED: Rule = Rule::corruption("qcow2-bitmaps-malformed");
/// The bitmaps are out of step with the image.
pub(super) const BITMAPS_STALE: Rule = Rule::warning("qcow2-bitmaps-stale", None);
/// A bitmap was in use when the image was last closed.
pub(super) const BITMAP_IN_USE: Rule = Rule::warning("qcow2-bitmap-in-use", None);
/// The table of a bitmap is at no cluster border.
pub(super) const BITMAP_TABLE_UNALIGNED: Rule = Rule::corruption("qcow2-bitmap-table-unaligned");
/// The table of a bitmap is not as long as its bits are.
pub(super) const BITMAP_TABLE_LENGTH: Rule = Rule::warning("qcow2-bitmap-table-length", None);
/// An entry of a bitmap table cannot be followed.
pub(super) const BITMAP_ENTRY: Rule = Rule::corruption("qcow2-bitmap-entry");
/// The LUKS header is too long.
pub(super) const LUKS_TOO_LONG: Rule = Rule::corruption("qcow2-luks-too-long");
/// Refcounts may be stale.
pub(super) const DIRTY: Rule = Rule::warning("qcow2-dirty", Some(Repair::All));
/// Somebody found damage.
pub(super) const CORRUPT: Rule = Rule::warning("qcow2-corrupt", Some(Repair::All));
/// An autoclear bit that is not known.
pub(super) const AUTOCLEAR_UNKNOWN: Rule = Rule::warning("qcow2-autoclear-unknown", Some(Repair::Leaks));
