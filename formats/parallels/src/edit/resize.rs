//! Disks that become larger, or smaller.

use std::ops::Range;

use imgfmt_core::{Error, Limits, Preallocation, Result};

use super::put::Content;
use crate::disk::{Disk, Space, data_offset};
use crate::header::Header;
use crate::layout::{ENTRY_LEN, MAX_ENTRIES, SECTOR_LEN};

impl Disk {
    /// Makes the disk `size` bytes large.
    pub(super) fn resize(&mut self, size: u64, preallocation: Preallocation, limits: &Limits) -> Result<()> {
        let entries = self.entries_for(size, limits)?;
        let old = self.header.disk_size();
        if size < old && preallocation != Preallocation::Off {
            return Err(Error::invalid("preallocation is for disks that grow"));
        }
        if size == old {
            return Ok(());
        }
        self.mark()?;
        if size < old {
            return self.shrink(size, entries);
        }
        self.grow(size, entries)?;
        let space = match preallocation {
            Preallocation::Off => return Ok(()),
            Preallocation::Metadata => Space::Hole,
            Preallocation::Falloc => Space::Reserved,
            Preallocation::Full => Space::Zeros,
        };
        self.put(&(old..size), Content::Zeros(space))
    }

    /// Entries that a disk of `size` bytes needs, if there can be one.
    fn entries_for(&self, size: u64, limits: &Limits) -> Result<u32> {
        if !size.is_multiple_of(SECTOR_LEN) {
            let what = format!("a Parallels disk has whole sectors of {SECTOR_LEN} bytes, and {size} are none");
            return Err(Error::invalid(what));
        }
        let most = if self.header.is_old { u64::from(u32::MAX) * SECTOR_LEN } else { i64::MAX as u64 };
        if size > most {
            return Err(Error::invalid(format!("a disk of this kind has {most} bytes at most, and {size} are wanted")));
        }
        let clusters = size.div_ceil(self.header.cluster_len());
        let entries = u32::try_from(clusters).ok().filter(|_| clusters <= MAX_ENTRIES).ok_or_else(|| {
            Error::invalid(format!(
                "a disk of {size} bytes has {clusters} clusters, and an image {MAX_ENTRIES} at most"
            ))
        })?;
        limits.table_len("bat_entries", clusters, ENTRY_LEN)?;
        Ok(entries)
    }

    /// Makes the disk larger. What comes to it is zero before the header says that it is there.
    fn grow(&mut self, size: u64, entries: u32) -> Result<()> {
        self.clear_tail()?;
        self.forget(self.header.disk_clusters()..u64::from(self.header.entries))?;
        let entries = entries.max(self.header.entries);
        let data_offset = self.make_room(entries)?;
        self.write_header(Header { sectors: size / SECTOR_LEN, entries, data_offset, ..self.header.clone() })?;
        self.medium.sync()
    }

    /// Makes the disk smaller. What lies behind its end is in no use once the header says so. Where clusters begin stays: without a
    /// word of the header, that is behind the BAT.
    fn shrink(&mut self, size: u64, entries: u32) -> Result<()> {
        let dropped = self.places_of(u64::from(entries)..u64::from(self.header.entries))?;
        let data_offset = data_offset(self.header.data_start())?;
        self.medium.sync()?;
        self.write_header(Header { sectors: size / SECTOR_LEN, entries, data_offset, ..self.header.clone() })?;
        self.medium.sync()?;
        self.give_up(dropped.into_iter().map(|(_, host)| host));
        Ok(())
    }

    /// Makes zero what lies behind the end of the disk in its last cluster, which the file has to have as a whole.
    fn clear_tail(&mut self) -> Result<()> {
        let (size, cluster_len) = (self.header.disk_size(), self.header.cluster_len());
        let index = size / cluster_len;
        let part = size..(index + 1).saturating_mul(cluster_len);
        if size.is_multiple_of(cluster_len) {
            return Ok(());
        }
        let [entry] = self.entries(&(index..index + 1))?[..] else { return Ok(()) };
        if entry == 0 {
            return Ok(());
        }
        let host = self.host_of(self.header.host(entry), &part);
        if self.storage().len() < host.end {
            self.medium.set_len(host.end)?;
        }
        self.medium.clear(host)
    }

    /// Gives up the clusters of these entries, which are of no cluster of the disk.
    fn forget(&mut self, range: Range<u64>) -> Result<()> {
        let found = self.places_of(range)?;
        let changes: Vec<_> = found.iter().map(|(index, _)| (*index, 0)).collect();
        self.set_entries(&changes)?;
        self.give_up(found.into_iter().map(|(_, host)| host));
        Ok(())
    }
}
