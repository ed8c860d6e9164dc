//! Internal snapshots: made, applied, deleted.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use imgfmt_core::{Error, ErrorKind, Limits, Medium, OpenContext, Result, SnapshotInfo, Snapshots, Storage};

use super::disk::{Disk, read_table};
use super::flush::bytes_of;
use super::table::Row;
use crate::Qcow2;
use crate::header::Header;
use crate::layout::{
    COMPRESSED, COPIED, MAX_L1_LEN, MAX_SNAPSHOTS, NB_SNAPSHOTS_AT, SNAPSHOTS_OFFSET_AT, TABLE_ENTRY_LEN,
};
use crate::snapshots::Snapshot;

impl Snapshots for Qcow2 {
    fn list(&self, storage: Arc<dyn Storage>, context: &OpenContext<'_>) -> Result<Vec<SnapshotInfo>> {
        let header = Header::read(storage.as_ref(), context.limits)?;
        let all = Snapshot::read_all(storage.as_ref(), &header, context.limits)?;
        Ok(all.iter().map(|snapshot| snapshot.to_info(header.size)).collect())
    }

    fn create(&self, medium: Arc<dyn Medium>, name: &str, now: SystemTime, context: &OpenContext<'_>) -> Result<()> {
        let mut changed = Changed::open(medium, context)?;
        Limits::check("nb_snapshots", changed.rows.len() as u64 + 1, MAX_SNAPSHOTS)?;
        changed.create(name, now)
    }

    fn apply(&self, medium: Arc<dyn Medium>, name: &str, context: &OpenContext<'_>) -> Result<()> {
        let mut changed = Changed::open(medium, context)?;
        let row = changed.find(name)?;
        changed.apply(row)
    }

    fn delete(&self, medium: Arc<dyn Medium>, name: &str, context: &OpenContext<'_>) -> Result<()> {
        let mut changed = Changed::open(medium, context)?;
        let row = changed.find_to_delete(name)?;
        changed.delete(row)
    }
}

/// An image whose snapshots are being changed.
struct Changed<'a> {
    /// The image.
    disk: Disk<'a>,
    /// Its snapshots.
    rows: Vec<Row>,
}

impl<'a> Changed<'a> {
    /// Opens the image in `medium`.
    fn open(medium: Arc<dyn Medium>, context: &OpenContext<'a>) -> Result<Self> {
        // Keys are not needed to count clusters.
        let context = OpenContext { describe_only: true, ..*context };
        let mut disk = Disk::open(medium, &context)?;
        if disk.header.features.data_file() {
            return Err(Error::unsupported("an image with a data file can have no internal snapshots"));
        }
        disk.drop_unknown_features()?;
        let rows = Row::read_all(disk.medium.as_ref(), &disk.header, context.limits)?;
        Ok(Self { disk, rows })
    }

    /// The snapshot with the id `name`, or else of that name.
    fn find(&self, name: &str) -> Result<usize> {
        let by_id = self.rows.iter().position(|row| row.id() == name);
        by_id
            .or_else(|| self.rows.iter().position(|row| row.name() == name))
            .ok_or_else(|| Error::new(ErrorKind::Missing, format!("there is no snapshot with the id or name {name}")))
    }

    /// The snapshot called `name`, or else with that id. Ids are given out without anybody asking for one, and names are chosen: who
    /// says `1` to what cannot be undone, and has a snapshot of that name, means that one.
    fn find_to_delete(&self, name: &str) -> Result<usize> {
        let by_name = self.rows.iter().position(|row| row.name() == name);
        by_name.map_or_else(|| self.find(name), Ok)
    }

    /// Keeps the current state.
    fn create(&mut self, name: &str, now: SystemTime) -> Result<()> {
        let disk = &mut self.disk;
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let info = SnapshotInfo {
            id: next_id(&self.rows),
            name: name.to_owned(),
            date_sec: u32::try_from(since.as_secs()).unwrap_or(u32::MAX),
            date_nsec: since.subsec_nanos(),
            icount: Some(0),
            disk_size: disk.size,
            ..SnapshotInfo::default()
        };
        let l1 = disk.l1.clone();
        disk.visit_uses(&l1, &mut |disk, cluster| disk.count_again(cluster))?;
        let copy: Vec<u64> = l1.iter().map(|entry| entry & !COPIED).collect();
        let l1_host = store_l1(disk, &copy)?;
        let row = Row::new(&info, l1_host, copy.len())?;
        // Every cluster is counted twice before the flags go that say that it is used once, and before anything else uses it.
        disk.write_counts()?;
        disk.correct_copied()?;
        disk.write_tables()?;
        self.rows.push(row);
        self.disk.switch_snapshots(&self.rows)
    }

    /// Makes the state of a snapshot the current one.
    fn apply(&mut self, row: usize) -> Result<()> {
        let disk = &mut self.disk;
        let (host, entries) = self.rows[row].l1();
        let size = self.rows[row].info(disk.size).disk_size;
        let needed = size.div_ceil(1 << disk.header.l2.span_bits());
        if entries < needed {
            return Err(Error::malformed(format!(
                "the snapshot's L1 table has {entries} entries, and its disk needs {needed}"
            )));
        }
        if size != disk.size {
            disk.record.check_resizable()?;
        }
        disk.begin()?;
        let kept = snapshot_l1(disk, host, entries)?;
        disk.mark_changed(&kept, size)?;
        clear_flags(disk, &kept)?;
        let l1: Vec<u64> = kept.iter().map(|entry| entry & !COPIED).collect();
        disk.visit_uses(&l1, &mut |disk, cluster| disk.count_again(cluster))?;
        let new_host = store_l1(disk, &l1)?;
        disk.write_counts()?;
        let (old, old_host) = (std::mem::replace(&mut disk.l1, l1), std::mem::replace(&mut disk.l1_host, new_host));
        disk.l2.clear();
        let before = std::mem::replace(&mut disk.size, size);
        disk.switch_size(before)?;
        disk.visit_uses(&old, &mut |disk, cluster| {
            disk.give_up(cluster);
            Ok(())
        })?;
        disk.give_up_bytes(old_host, old.len() as u64 * TABLE_ENTRY_LEN);
        self.settle()?;
        self.disk.finish()
    }

    /// Deletes a snapshot.
    fn delete(&mut self, row: usize) -> Result<()> {
        let (host, entries) = self.rows.remove(row).l1();
        let l1 = snapshot_l1(&self.disk, host, entries)?;
        self.disk.switch_snapshots(&self.rows)?;
        let disk = &mut self.disk;
        disk.visit_uses(&l1, &mut |disk, cluster| {
            disk.give_up(cluster);
            Ok(())
        })?;
        disk.give_up_bytes(host, entries * TABLE_ENTRY_LEN);
        self.settle()
    }

    /// Lowers what was given up, and then sets the flags of what is used once now.
    fn settle(&mut self) -> Result<()> {
        self.disk.lower_counts()?;
        self.disk.correct_copied()?;
        self.disk.flush()
    }
}

impl Disk<'_> {
    /// Writes the table of snapshots to a new place, and then says in the header, in one sector, that it is there.
    ///
    /// # Errors
    ///
    /// [`Io`](imgfmt_core::ErrorKind::Io), and what reading the old one meets.
    pub(super) fn switch_snapshots(&mut self, rows: &[Row]) -> Result<()> {
        let old = Row::read_all(self.medium.as_ref(), &self.header, self.context.limits)?;
        let (old_host, old_len) = (self.header.snapshots_offset, Row::table(&old).len() as u64);
        let bytes = Row::table(rows);
        let host = match bytes.len() as u64 {
            0 => 0,
            len => {
                let host = self.take_run(len.div_ceil(self.cluster().len()))?;
                self.medium.write_at(&bytes, host)?;
                host
            }
        };
        self.write_counts()?;
        self.medium.sync()?;
        let count = u32::try_from(rows.len()).unwrap_or(u32::MAX);
        self.head.put32(NB_SNAPSHOTS_AT, count);
        self.head.put64(SNAPSHOTS_OFFSET_AT, host);
        self.head.write(self.medium.as_ref())?;
        self.medium.sync()?;
        (self.header.nb_snapshots, self.header.snapshots_offset) = (count, host);
        if old_len > 0 {
            self.give_up_bytes(old_host, old_len);
        }
        self.lower_counts()?;
        self.flush()
    }
}

/// The id after the largest that is a number.
fn next_id(rows: &[Row]) -> String {
    let largest = rows.iter().filter_map(|row| row.id().parse::<u64>().ok()).max().unwrap_or(0);
    (largest + 1).to_string()
}

/// The L1 table of a snapshot.
pub(super) fn snapshot_l1(disk: &Disk<'_>, host: u64, entries: u64) -> Result<Vec<u64>> {
    Limits::check("L1 size", entries * TABLE_ENTRY_LEN, MAX_L1_LEN)?;
    if entries > 0 && (host == 0 || !disk.cluster().aligns(host) || host >= disk.medium.len()) {
        let what = format!("is {host}, which is no cluster of the file");
        return Err(Error::malformed(what).field("L1 table offset of a snapshot"));
    }
    read_table(disk.medium.as_ref(), host, entries, &disk.context)
}

/// Writes an L1 table to new clusters, and returns where it is. There is one even for a disk of no bytes.
fn store_l1(disk: &mut Disk<'_>, l1: &[u64]) -> Result<u64> {
    let mut bytes = bytes_of(l1);
    bytes.resize(bytes.len().max(1).next_multiple_of(disk.cluster().in_memory()), 0);
    let host = disk.take_run(bytes.len() as u64 / disk.cluster().len())?;
    disk.medium.write_at(&bytes, host)?;
    disk.medium.sync()?;
    Ok(host)
}

/// Clears the flags in the tables of a snapshot: they mean nothing there, and would be wrong in the active state.
fn clear_flags(disk: &mut Disk<'_>, l1: &[u64]) -> Result<()> {
    let step = 1 << disk.header.l2.entry_word_bits();
    for entry in l1.iter().map(|entry| entry & crate::layout::OFFSET_MASK).filter(|entry| *entry != 0) {
        let mut words = disk.words_at(entry)?;
        let mut changed = false;
        for word in words.iter_mut().step_by(step).filter(|word| **word & COMPRESSED == 0 && **word & COPIED != 0) {
            *word &= !COPIED;
            changed = true;
        }
        // Where the active state uses the table too, the flags are the active state's, and it is used twice.
        if changed && disk.uses(entry)? == 1 {
            disk.medium.write_at(&bytes_of(&words), entry)?;
        }
    }
    disk.medium.sync()
}
