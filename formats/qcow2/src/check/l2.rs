//! One L2 entry: what it uses, what is wrong with it, and what it should be.

use crate::cluster::ClusterBits;
use crate::layout::{
    COMPRESSED, COMPRESSED_SECTOR_LEN, COPIED, OFFSET_MASK, SUBCLUSTERS, SUBCLUSTERS_STORED, VERSION_2, ZERO,
    compressed_offset_bits,
};

use super::kinds::Kind;
use super::rules::{self, Rule};
use super::subject::Subject;

/// How the L2 entries of one image are judged.
#[derive(Clone, Copy, Debug)]
pub(super) struct L2Rules {
    /// Length of the clusters.
    cluster: ClusterBits,
    /// Whether entries have subclusters.
    extended: bool,
    /// Whether there is no zero flag.
    v2: bool,
    /// Whether clusters are in a data file.
    external: bool,
    /// Bits that no entry has of which nothing is to be said.
    odd: u64,
    /// The last host byte at which a cluster can be that is whole.
    last: u64,
}

/// What kind of cluster an entry names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// None.
    Absent,
    /// One at this host byte.
    Plain(u64),
    /// A compressed one: its first host byte, and the bytes to the end of its last sector.
    Compressed(u64, u64),
}

impl L2Rules {
    /// The rules of an image.
    pub(super) fn new(subject: &Subject<'_>) -> Self {
        let header = &subject.header;
        let (v2, external) = (header.version == VERSION_2, header.features.data_file());
        Self::of(header.cluster, (header.l2.extended(), v2, external), subject.file_len)
    }

    /// The rules for clusters of that length in a file of that length.
    fn of(cluster: ClusterBits, (extended, v2, external): (bool, bool, bool), file_len: u64) -> Self {
        let odd = COMPRESSED | L2_RESERVED_MASK | ((cluster.len() - 1) & OFFSET_MASK) | if v2 { ZERO } else { 0 };
        let odd = if external { u64::MAX } else { odd };
        Self { cluster, extended, v2, external, odd, last: file_len.saturating_sub(cluster.len()) }
    }

    /// The host byte of an entry of which nothing is to be said: it names a cluster at a cluster border that is whole, in the
    /// image's own file.
    pub(super) fn ordinary(self, [raw, bitmap]: [u64; 2]) -> Option<u64> {
        let host = raw & OFFSET_MASK;
        let ordinary = raw & self.odd == 0 && host != 0 && host <= self.last && both(bitmap) == 0;
        ordinary.then_some(host)
    }

    /// Whether clusters are in a data file.
    pub(super) fn external(self) -> bool {
        self.external
    }

    /// What kind of cluster `raw` names.
    pub(super) fn class(self, raw: u64) -> Class {
        if raw & COMPRESSED != 0 {
            let offset_bits = compressed_offset_bits(self.cluster.bits());
            let host = raw & ((1 << offset_bits) - 1);
            let sectors = ((raw & (COMPRESSED - 1)) >> offset_bits) + 1;
            return Class::Compressed(host, sectors * COMPRESSED_SECTOR_LEN - host % COMPRESSED_SECTOR_LEN);
        }
        match raw & OFFSET_MASK {
            0 if self.external && raw & COPIED != 0 => Class::Plain(0),
            0 => Class::Absent,
            host => Class::Plain(host),
        }
    }

    /// The bytes that `raw` uses of the image's own file: where they are, how many, and what for.
    pub(super) fn uses(self, raw: u64) -> Option<(u64, u64, Kind)> {
        match self.class(raw) {
            _ if self.external => None,
            Class::Absent => None,
            Class::Plain(host) => Some((host, self.cluster.len(), Kind::Data)),
            Class::Compressed(host, len) => Some((host, len, Kind::Compressed)),
        }
    }

    /// How many bytes of the cluster the guest can see, if any: up to the end of the last subcluster that is stored.
    pub(super) fn shown_len(self, raw: u64, bitmap: u64) -> u64 {
        if !self.extended {
            let zero = raw & ZERO != 0;
            return if zero { 0 } else { self.cluster.len() };
        }
        let stored = u64::from(u64::BITS - (bitmap & SUBCLUSTERS_STORED).leading_zeros());
        stored * (self.cluster.len() / u64::from(SUBCLUSTERS))
    }

    /// Tells `tell` of every rule that the entry breaks, with what was seen.
    pub(super) fn judge(self, subject: &Subject<'_>, [raw, bitmap]: [u64; 2], tell: &mut dyn FnMut(Rule, String)) {
        if raw & COMPRESSED == 0 {
            if raw & L2_RESERVED_MASK != 0 {
                let rule = Rule { repair: self.if_mended(subject, [raw, bitmap]), ..rules::L2_RESERVED };
                tell(rule, format!("found l2 entry with reserved bits set: {raw:x}"));
            }
            if self.v2 && raw & ZERO != 0 {
                tell(rules::L2_ZERO_V2, format!("l2 entry with the zero flag in version 2: {raw:x}"));
            }
        }
        match self.class(raw) {
            Class::Absent if self.extended && bitmap & SUBCLUSTERS_STORED != 0 => {
                tell(rules::SUBCLUSTER_NO_CLUSTER, "Unallocated cluster has non-zero subcluster allocation map".into());
            }
            Class::Absent => {}
            Class::Plain(host) => self.judge_plain(subject, host, [raw, bitmap], tell),
            Class::Compressed(host, len) => self.judge_compressed(subject, (host, len), [raw, bitmap], tell),
        }
    }

    /// Judges an entry with a cluster at host byte `host`.
    fn judge_plain(
        self,
        subject: &Subject<'_>,
        host: u64,
        [raw, bitmap]: [u64; 2],
        tell: &mut dyn FnMut(Rule, String),
    ) {
        let shown = self.shown_len(raw, bitmap) > 0;
        if self.extended && both(bitmap) != 0 {
            let what = format!("offset={host:x}: Allocated cluster has corrupted subcluster allocation bitmap");
            tell(rules::SUBCLUSTER_BOTH, what);
        }
        if !self.cluster.aligns(host) {
            if shown {
                let what = format!("offset={host:x}: Data cluster is not properly aligned; L2 entry corrupted.");
                tell(rules::DATA_UNALIGNED, what);
            } else {
                let what =
                    format!("offset={host:x}: Preallocated cluster is not properly aligned; L2 entry corrupted.");
                tell(Rule { repair: self.if_mended(subject, [raw, bitmap]), ..rules::ZERO_UNALIGNED }, what);
            }
        }
        if !self.external && subject.region(host, self.cluster.len()).is_none() {
            let dropped = Rule { repair: self.if_mended(subject, [raw, bitmap]), ..rules::ZERO_OUTSIDE };
            tell(if shown { rules::DATA_OUTSIDE } else { dropped }, outside(host, self.cluster.len()));
        }
    }

    /// Judges a compressed entry.
    fn judge_compressed(
        self,
        subject: &Subject<'_>,
        (host, len): (u64, u64),
        [raw, bitmap]: [u64; 2],
        tell: &mut dyn FnMut(Rule, String),
    ) {
        if raw & COPIED != 0 {
            let what = format!("coffset=0x{host:x}: copied flag must never be set for compressed clusters");
            tell(rules::COMPRESSED_COPIED, what);
        }
        if self.external {
            tell(rules::COMPRESSED_EXTERNAL, format!("compressed cluster with data file, entry=0x{raw:x}"));
            return;
        }
        if self.extended && bitmap != 0 {
            let what = format!("compressed cluster with non-zero subcluster allocation bitmap, entry=0x{raw:x}");
            tell(rules::COMPRESSED_BITMAP, what);
        }
        if subject.region(host, len).is_none() {
            tell(rules::DATA_OUTSIDE, outside(host, len));
        }
    }

    /// What the entry should be, as far as that is known without refcounts and no guest byte is lost by it.
    pub(super) fn mended(self, subject: &Subject<'_>, [raw, bitmap]: [u64; 2]) -> [u64; 2] {
        match self.class(raw) {
            // What that flag was meant to be is not known.
            Class::Absent | Class::Plain(_) if self.v2 && raw & ZERO != 0 => [raw, bitmap],
            Class::Compressed(..) => [raw & !COPIED, if self.extended { 0 } else { bitmap }],
            Class::Absent => [raw & !L2_RESERVED_MASK, bitmap],
            Class::Plain(host) => {
                let follows =
                    self.cluster.aligns(host) && (self.external || subject.region(host, self.cluster.len()).is_some());
                match (follows, self.shown_len(raw, bitmap)) {
                    (true, _) => [raw & !L2_RESERVED_MASK, bitmap],
                    (false, 0) if self.extended => [0, bitmap],
                    (false, 0) => [ZERO, bitmap],
                    (false, _) => [raw, bitmap],
                }
            }
        }
    }

    /// Whether the entry names what the file does not have, and would show something else there if the file grew. Whether
    /// a compressed stream ends before its last sector does, only who decodes it can tell.
    pub(super) fn stays_outside(self, subject: &Subject<'_>, words: [u64; 2]) -> bool {
        self.uses(self.mended(subject, words)[0]).is_some_and(|(host, len, kind)| {
            let cut = kind == Kind::Compressed && host.saturating_add(len) > subject.file_len;
            cut || subject.region(host, len).is_none()
        })
    }

    /// The repair that changes the entry, where one does.
    fn if_mended(self, subject: &Subject<'_>, words: [u64; 2]) -> Option<imgfmt_core::Repair> {
        (self.mended(subject, words) != words).then_some(imgfmt_core::Repair::All)
    }
}

/// The subclusters that are said to be both stored and zero.
fn both(bitmap: u64) -> u64 {
    bitmap & bitmap >> SUBCLUSTERS & SUBCLUSTERS_STORED
}

/// What is said of a region that the file does not have.
pub(super) fn outside(host: u64, len: u64) -> String {
    format!(
        "counting reference for region exceeding the end of the file by one cluster or more: offset 0x{host:x} size 0x{len:x}"
    )
}

/// The reserved bits of an L2 entry that is not compressed: 1 to 8, and 56 to 61. Specification, "Standard Cluster
/// Descriptor".
const L2_RESERVED_MASK: u64 = 0x3f00_0000_0000_01fe;

#[cfg(test)]
mod tests {
    use super::*;

    fn of(bits: u32, extended: bool, v2: bool, external: bool) -> L2Rules {
        L2Rules::of(ClusterBits::new(bits).unwrap(), (extended, v2, external), 0x6_0000)
    }

    #[test]
    fn nothing_is_said_of_whole_clusters_in_the_file() {
        let plain = of(16, false, false, false);
        for (raw, host) in [(COPIED | 0x5_0000, 0x5_0000), (0x1_0000 | ZERO, 0x1_0000)] {
            assert_eq!(plain.ordinary([raw, 0]), Some(host), "{raw:x}");
        }
        for raw in [0, ZERO, 0x6_0000, 0x5_0200, 0x5_0002, COMPRESSED | 0x5_0000, 1 << 60 | 0x5_0000] {
            assert_eq!(plain.ordinary([raw, 0]), None, "{raw:x}");
        }
        assert_eq!(of(16, false, true, false).ordinary([0x5_0000 | ZERO, 0]), None);
        assert_eq!(of(16, false, false, true).ordinary([COPIED | 0x5_0000, 0]), None);
        let extended = of(16, true, false, false);
        assert_eq!(extended.ordinary([0x5_0000, 1 << 33 | 1]), Some(0x5_0000));
        assert_eq!(extended.ordinary([0x5_0000, 1 << 33 | 2]), None);
    }

    #[test]
    fn entries_use_what_they_name() {
        let rules = of(16, false, false, false);
        assert_eq!(rules.uses(ZERO), None);
        assert_eq!(rules.uses(COPIED | ZERO | 0x5_0000), Some((0x5_0000, 0x1_0000, Kind::Data)));
        assert_eq!(rules.uses(COMPRESSED | 2 << 54 | 0x5_0007), Some((0x5_0007, 3 * 512 - 7, Kind::Compressed)));
        let external = of(16, false, false, true);
        assert_eq!((external.uses(COPIED | 0x5_0000), external.class(COPIED)), (None, Class::Plain(0)));
        assert_eq!(external.class(0), Class::Absent);
    }

    #[test]
    fn the_guest_sees_up_to_the_last_stored_subcluster() {
        let plain = of(16, false, false, false);
        assert_eq!((plain.shown_len(0x5_0000, 0), plain.shown_len(0x5_0001, 0)), (0x1_0000, 0));
        let extended = of(16, true, false, false);
        assert_eq!((extended.shown_len(0x5_0000, 1 << 40), extended.shown_len(0x5_0000, 0b101)), (0, 3 * 2048));
        assert_eq!(extended.shown_len(0x5_0000, SUBCLUSTERS_STORED), 0x1_0000);
    }
}
