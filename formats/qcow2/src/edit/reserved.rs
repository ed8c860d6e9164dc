//! Clusters that hold tables or keys when an image is opened, which nothing may be written over whatever their refcounts say.

use std::collections::BTreeSet;
use std::ops::Range;

use imgfmt_core::{Error, Result};

use super::counts::Counts;
use crate::crypto::CryptMethod;
use crate::header::Header;
use crate::layout::{OFFSET_MASK, TABLE_ENTRY_LEN};

/// Clusters that hold tables or keys.
pub(super) struct Reserved {
    /// Those that did when the image was opened, in order.
    clusters: Vec<u64>,
    /// Those of the header of LUKS and its key material, however many it says.
    keys: Range<u64>,
    /// Those of the clusters that no longer hold a table.
    released: BTreeSet<u64>,
}

impl Reserved {
    /// Those of the image that `header`, its active L1 table and its refcounts describe.
    pub(super) fn new(header: &Header, l1: &[u64], counts: &Counts) -> Self {
        let bits = header.cluster.bits();
        let run = |host: u64, len: u64| host >> bits..host.saturating_add(len).div_ceil(header.cluster.len());
        let mut clusters = vec![0];
        clusters.extend(run(header.l1_table_offset, u64::from(header.l1_size) * TABLE_ENTRY_LEN));
        clusters.extend(run(counts.table_host, header.refcount_table_clusters * header.cluster.len()));
        clusters.extend(counts.table.iter().filter(|host| **host != 0).map(|host| host >> bits));
        clusters.extend(l1.iter().map(|entry| (entry & OFFSET_MASK) >> bits).filter(|cluster| *cluster != 0));
        if header.nb_snapshots > 0 {
            clusters.push(header.snapshots_offset >> bits);
        }
        clusters.sort_unstable();
        clusters.dedup();
        let keys = match header.crypt {
            CryptMethod::Luks { offset, len } => run(offset, len),
            CryptMethod::None | CryptMethod::Aes => 0..0,
        };
        Self { clusters, keys, released: BTreeSet::new() }
    }

    /// Checks that `cluster`, which an entry of the disk refers to, is no table at the same time.
    ///
    /// # Errors
    ///
    /// [`Malformed`](imgfmt_core::ErrorKind::Malformed) where it is.
    pub(super) fn check_data(&self, cluster: u64) -> Result<()> {
        if !self.holds(cluster) {
            return Ok(());
        }
        let what =
            format!("cluster {cluster} holds a table and guest data: nothing is written before a check mends that");
        Err(Error::malformed(what).field("host cluster offset"))
    }

    /// Whether `cluster` holds keys, or a table that was there when the image was opened.
    fn holds(&self, cluster: u64) -> bool {
        let table = self.clusters.binary_search(&cluster).is_ok() && !self.released.contains(&cluster);
        table || self.keys.contains(&cluster)
    }

    /// Checks that `cluster`, whose refcount is 0, may be used.
    ///
    /// # Errors
    ///
    /// [`Malformed`](imgfmt_core::ErrorKind::Malformed) where it holds a table.
    pub(super) fn check_free(&self, cluster: u64) -> Result<()> {
        if !self.holds(cluster) {
            return Ok(());
        }
        let what = format!(
            "cluster {cluster} holds a table, and its refcount is 0: nothing is written before a check mends that"
        );
        Err(Error::malformed(what).field("refcount"))
    }

    /// Lets `cluster`, which was given up, be used.
    pub(super) fn release(&mut self, cluster: u64) {
        if self.clusters.binary_search(&cluster).is_ok() {
            self.released.insert(cluster);
        }
    }
}
