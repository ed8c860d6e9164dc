//! Refcounts of another width: new structures beside the old ones, which the header trades for them in one write.
//! Specification, "Host cluster management".
//!
//! | Step | Where a cut leaves the image |
//! |---|---|
//! | new blocks and a new table, behind everything in use; flushed | as it was: nothing names them |
//! | table, its length and the width, in one sector of the header; flushed | with the old structures, or the new ones |
//!
//! The new structures do not count the old ones, whose clusters are free with that one write. Their bytes stay until something
//! else takes them: in a damaged image they may be something else already, which a check can still find.

use std::collections::BTreeSet;

use imgfmt_core::{Error, Medium, Result, StorageExt};

use super::counts::Counts;
use super::disk::Disk;
use super::reserved::Reserved;
use crate::check::anew::{Anew, Visit};
use crate::check::width::RefcountWidth;
use crate::cluster::ClusterBits;
use crate::header::Header;
use crate::layout::{HOST_OFFSET_END, REFCOUNT_ORDER_AT, REFCOUNT_TABLE_CLUSTERS_AT, REFCOUNT_TABLE_OFFSET_AT};

impl Disk<'_> {
    /// Checks that every refcount fits into `1 << order` bits.
    ///
    /// # Errors
    ///
    /// [`Invalid`](imgfmt_core::ErrorKind::Invalid) with the first cluster whose refcount does not;
    /// [`Malformed`](imgfmt_core::ErrorKind::Malformed) where the refcount structures do not count themselves once.
    pub(super) fn check_width(&self, order: u32) -> Result<()> {
        let old = Old::new(&self.header, &self.counts, RefcountWidth::new(order))?;
        old.each(&self.counts, self.medium.as_ref(), &mut |_, _| Ok(()))
    }

    /// Makes refcounts `1 << order` bits wide. What is in memory has been flushed.
    ///
    /// # Errors
    ///
    /// As [`check_width`](Self::check_width); [`Unsupported`](imgfmt_core::ErrorKind::Unsupported) where the table would be
    /// too long, [`LimitExceeded`](imgfmt_core::ErrorKind::LimitExceeded) where the format has no room left, and
    /// [`Io`](imgfmt_core::ErrorKind::Io).
    pub(super) fn change_width(&mut self, order: u32) -> Result<()> {
        debug_assert!(!self.counts.is_dirty(), "refcounts are as on the medium");
        let (cluster, width) = (self.cluster(), RefcountWidth::new(order));
        let old = Old::new(&self.header, &self.counts, width)?;
        let medium = self.medium.as_ref();
        let each = |visit: &mut Visit<'_>| old.each(&self.counts, medium, visit);
        let behind = old.behind().max(medium.len().div_ceil(cluster.len()));
        let anew = Anew::plan(cluster, width, behind, &each)?;
        if anew.end() > HOST_OFFSET_END >> cluster.bits() {
            return Err(Error::limit("the image takes more than 2^56 bytes on the host"));
        }
        anew.write(&each, self.medium.as_ref())?;
        self.name_structures(&anew, order)
    }

    /// Makes the header name the structures of `anew`, in one sector, and takes them for the image's.
    fn name_structures(&mut self, anew: &Anew, order: u32) -> Result<()> {
        self.head.put64(REFCOUNT_TABLE_OFFSET_AT, anew.host());
        self.head.put32(REFCOUNT_TABLE_CLUSTERS_AT, anew.table_clusters());
        self.head.put32(REFCOUNT_ORDER_AT, order);
        self.head.write(self.medium.as_ref())?;
        self.medium.sync()?;
        self.header.refcount_table_offset = anew.host();
        self.header.refcount_table_clusters = u64::from(anew.table_clusters());
        self.header.refcount_order = order;
        self.counts = Counts::read(self.medium.as_ref(), &self.header, self.context.limits)?;
        self.reserved = Reserved::new(&self.header, &self.l1, &self.counts);
        self.free_from = 0;
        Ok(())
    }
}

/// The structures that are to be replaced.
struct Old {
    /// How long clusters are.
    cluster: ClusterBits,
    /// How wide refcounts are to be.
    width: RefcountWidth,
    /// The clusters of the table and of its blocks.
    clusters: BTreeSet<u64>,
}

impl Old {
    /// Those of `counts`.
    fn new(header: &Header, counts: &Counts, width: RefcountWidth) -> Result<Self> {
        let cluster = header.cluster;
        let first = counts.table_host >> cluster.bits();
        let mut clusters: BTreeSet<u64> = (first..first + header.refcount_table_clusters).collect();
        for block in counts.table.iter().filter(|host| **host != 0) {
            if !clusters.insert(block >> cluster.bits()) {
                return Err(Error::malformed(format!(
                    "the refcount block at byte {block} is something else, too; {MEND}"
                )));
            }
        }
        Ok(Self { cluster, width, clusters })
    }

    /// The cluster behind them.
    fn behind(&self) -> u64 {
        self.clusters.last().map_or(0, |last| last + 1)
    }

    /// Visits every cluster that `counts` counts, but for those of the structures, which have to be counted once.
    fn each(&self, counts: &Counts, medium: &dyn Medium, visit: &mut Visit<'_>) -> Result<()> {
        let (per_block, mut own) = (counts.per_block(), 0);
        let mut bytes = vec![0; self.cluster.in_memory()];
        for (index, host) in (0u64..).zip(&counts.table).filter(|(_, host)| **host != 0) {
            medium.read_padded(&mut bytes, *host)?;
            for (at, number) in (index * per_block..(index + 1) * per_block).enumerate() {
                match counts.width.get(&bytes, at) {
                    0 => {}
                    1 if self.clusters.contains(&number) => own += 1,
                    count if self.clusters.contains(&number) => return Err(self.counted_wrong(number, count)),
                    count if count > self.width.max() => return Err(self.does_not_fit(number, count)),
                    count => visit(number, count)?,
                }
            }
        }
        if own == self.clusters.len() {
            return Ok(());
        }
        Err(Error::malformed(format!("the refcount structures are not all counted; {MEND}")))
    }

    /// The error that a cluster of the structures has another refcount than 1.
    fn counted_wrong(&self, number: u64, count: u64) -> Error {
        let host = number << self.cluster.bits();
        Error::malformed(format!("the cluster at byte {host} holds refcounts, and its own is {count}; {MEND}"))
    }

    /// The error that a refcount is too large.
    fn does_not_fit(&self, number: u64, count: u64) -> Error {
        let (host, max) = (number << self.cluster.bits(), self.width.max());
        Error::invalid(format!(
            "the cluster at byte {host} has a refcount of {count}, and refcounts of that width go up to {max}"
        ))
    }
}

/// What has to be done first.
const MEND: &str = "the image has to be repaired first";
