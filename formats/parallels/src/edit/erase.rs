//! Bytes that become zero.

use std::ops::Range;

use imgfmt_core::{Erase, Error, Result, write_zeros};

use crate::disk::Disk;
use crate::entries;

impl Disk {
    /// Makes the bytes of `range` read as zeros, as `how` says.
    pub(super) fn erase(&mut self, range: &Range<u64>, how: Erase) -> Result<()> {
        self.check_bounds(range)?;
        if how == Erase::Absent
            && let Some((_, part)) = self.parts(range).find(|(index, part)| !self.is_whole(*index, part))
        {
            let what = format!("bytes {part:?} are no whole cluster, and only whole clusters can be absent");
            return Err(Error::invalid(what));
        }
        self.mark()?;
        let cluster_len = self.header.cluster_len();
        for clusters in entries::parts(self.clusters_of(range)) {
            let end = clusters.end.saturating_mul(cluster_len);
            self.erase_part(&clusters, &(range.start.max(clusters.start * cluster_len)..range.end.min(end)), how)?;
        }
        Ok(())
    }

    /// The same of a `range` that touches these clusters.
    fn erase_part(&mut self, clusters: &Range<u64>, range: &Range<u64>, how: Erase) -> Result<()> {
        let (mut changes, mut dropped) = (Vec::new(), Vec::new());
        for ((index, part), entry) in self.parts(range).zip(self.entries(clusters)?) {
            let host = self.header.host(entry);
            match how {
                _ if entry == 0 => {}
                Erase::ZeroKeepSpace => write_zeros(self.medium.as_ref(), self.host_of(host, &part))?,
                Erase::Zero | Erase::Absent if self.is_whole(index, &part) => {
                    changes.push((index, 0));
                    dropped.push(host);
                }
                Erase::Zero | Erase::Absent => self.clear(self.host_of(host, &part))?,
            }
        }
        self.set_entries(&changes)?;
        self.give_up(dropped);
        Ok(())
    }
}
