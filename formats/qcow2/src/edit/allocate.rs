//! Taking clusters and giving them up.

use imgfmt_core::{Error, Result};

use super::disk::Disk;
use crate::layout::{HOST_OFFSET_END, TABLE_ENTRY_LEN};

impl Disk<'_> {
    /// Takes a cluster, and returns its host byte. Its refcount is 1 from now on.
    ///
    /// # Errors
    ///
    /// [`LimitExceeded`](imgfmt_core::ErrorKind::LimitExceeded) where the format has no room left, and what reading meets.
    pub(super) fn take(&mut self) -> Result<u64> {
        self.take_run(1)
    }

    /// Takes `count` clusters that lie together.
    ///
    /// # Errors
    ///
    /// As [`take`](Self::take).
    pub(super) fn take_run(&mut self, count: u64) -> Result<u64> {
        let first = self.find_free(count)?;
        for cluster in first..first + count {
            self.count_up(cluster)?;
        }
        if count == 1 {
            self.free_from = first + 1;
        }
        Ok(first << self.cluster().bits())
    }

    /// The first of `count` clusters that lie together and are free, with room to count them.
    fn find_free(&mut self, count: u64) -> Result<u64> {
        let mut first = self.free_from;
        let mut run = 0;
        while run < count {
            let cluster = first + run;
            if (cluster + 1) << self.cluster().bits() > HOST_OFFSET_END {
                return Err(Error::limit("the image takes more than 2^56 bytes on the host"));
            }
            self.make_room_to_count(cluster)?;
            if self.counts.get(self.medium.as_ref(), cluster)? == 0 {
                self.reserved.check_free(cluster)?;
                run += 1;
            } else {
                (first, run) = (cluster + 1, 0);
            }
        }
        Ok(first)
    }

    /// Makes the block that counts `cluster`, where there is none: it lies at the start of what it counts, which nothing can
    /// use yet.
    fn make_room_to_count(&mut self, cluster: u64) -> Result<()> {
        if self.counts.is_counted(cluster) {
            return Ok(());
        }
        let index = self.counts.block_of(cluster);
        let first = index as u64 * self.counts.per_block();
        // What is not counted is not in use, but for what lies behind the end of the file of an image that was cut.
        self.reserved.check_free(first)?;
        self.counts.add_block(index, first << self.cluster().bits());
        self.counts.set(self.medium.as_ref(), first, 1)?;
        if index >= self.counts.room(self.header.refcount_table_clusters) {
            self.move_refcount_table(index)?;
        }
        Ok(())
    }

    /// Gives the refcount table a place with room for block `index` and as many more.
    fn move_refcount_table(&mut self, index: usize) -> Result<()> {
        let entries = (index as u64 + 1).saturating_mul(3) / 2 + 1;
        let clusters = (entries * TABLE_ENTRY_LEN).div_ceil(self.cluster().len());
        self.counts.check_table(clusters)?;
        let (old_host, old_clusters) = (self.counts.table_host, self.header.refcount_table_clusters);
        // From now on there is room, so that what the table itself takes does not move it again.
        self.header.refcount_table_clusters = clusters;
        let host = self.take_run(clusters)?;
        self.counts.table_host = host;
        let room = self.counts.room(clusters);
        self.counts.table.resize(room.max(self.counts.table.len()), 0);
        self.counts.moved = true;
        for cluster in 0..old_clusters {
            self.give_up((old_host >> self.cluster().bits()) + cluster);
        }
        Ok(())
    }

    /// Counts one more use of `cluster`.
    ///
    /// # Errors
    ///
    /// As [`take`](Self::take).
    pub(super) fn count_up(&mut self, cluster: u64) -> Result<()> {
        self.make_room_to_count(cluster)?;
        let count = self.counts.get(self.medium.as_ref(), cluster)?;
        self.counts.set(self.medium.as_ref(), cluster, count + 1)
    }

    /// Counts one more use of `cluster`, which is in use already.
    ///
    /// # Errors
    ///
    /// [`Malformed`](imgfmt_core::ErrorKind::Malformed) where it is not counted at all: with this use alone counted, either would be
    /// written over for the other, and a cluster far outside of the file would take a refcount table as far.
    pub(super) fn count_again(&mut self, cluster: u64) -> Result<()> {
        if self.counts.get(self.medium.as_ref(), cluster)? == 0 {
            let host = cluster << self.cluster().bits();
            let what = "is in use, and its refcount is 0; the image has to be repaired first";
            return Err(Error::malformed(format!("the cluster at byte {host} {what}")).field("refcount"));
        }
        self.count_up(cluster)
    }

    /// How often the cluster at host byte `host` is used, what is given up still counted.
    ///
    /// # Errors
    ///
    /// What reading meets.
    pub(super) fn uses(&mut self, host: u64) -> Result<u64> {
        let cluster = host >> self.cluster().bits();
        self.counts.get(self.medium.as_ref(), cluster)
    }

    /// Gives up one use of `cluster`, once the tables are written.
    pub(super) fn give_up(&mut self, cluster: u64) {
        self.given_up.push(cluster);
    }

    /// Gives up one use of each cluster that `len` bytes from host byte `host` on touch.
    pub(super) fn give_up_bytes(&mut self, host: u64, len: u64) {
        let bits = self.cluster().bits();
        for cluster in host >> bits..(host + len.max(1)).div_ceil(self.cluster().len()) {
            self.give_up(cluster);
        }
    }
}
