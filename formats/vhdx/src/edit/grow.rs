//! A longer block allocation table: its new entries, and a new place where the old one has no room for them.

use std::ops::Range;

use imgfmt_core::{Error, Preallocation, Result, StorageExt};

use super::state::State;
use crate::fields::{guid_at, put, seal};
use crate::geometry::Geometry;
use crate::layout::{
    ALIGN, BAT_ENTRY_LEN, BAT_REGION, ENTRY_LEN, MAX_ENTRIES, REGION_ENTRIES_AT, REGION_LENGTH_AT, REGION_OFFSET_AT,
    REGION_TABLE_LEN, REGION_TABLES_AT, state as entry_state,
};
use crate::regions::Regions;

/// What becomes of entries behind the last one of a disk.
#[derive(Clone, Copy, Debug)]
pub(super) enum Filling {
    /// They are of blocks that come to the disk.
    Blocks(Preallocation),
    /// They are zero.
    Zeros,
}

impl State {
    /// Moves the table to where it has room for the entries of `new`, if it has not. The region tables follow with the
    /// next commit, both at once.
    ///
    /// # Errors
    ///
    /// [`Io`](imgfmt_core::ErrorKind::Io), [`Invalid`](imgfmt_core::ErrorKind::Invalid) for a table that is too long.
    pub(super) fn make_table_room(&mut self, old: &Geometry, new: &Geometry) -> Result<()> {
        let bat = self.regions.bat.clone();
        if new.entries() * BAT_ENTRY_LEN <= bat.end - bat.start {
            return Ok(());
        }
        let most = Geometry { differencing: true, ..*new };
        let len = (most.entries() * BAT_ENTRY_LEN).next_multiple_of(ALIGN);
        let stored_len = u32::try_from(len).map_err(|_| Error::invalid(format!("the table would take {len} bytes")))?;
        let start = self.allocate(len)?;
        self.copy(bat.start..bat.start + old.entries() * BAT_ENTRY_LEN, start)?;
        let table = self.region_table(start, stored_len)?;
        for at in REGION_TABLES_AT {
            self.journal.write(self.medium.as_ref(), &table, at)?;
        }
        self.regions = Regions::parse(&table, REGION_TABLES_AT[0], self.log.clone())?;
        self.free(bat.start, bat.end - bat.start);
        Ok(())
    }

    /// The region table that counts, with the table of blocks in another place.
    fn region_table(&self, start: u64, len: u32) -> Result<Vec<u8>> {
        let mut table = self.medium.read_vec(REGION_TABLES_AT[self.regions.table - 1], REGION_TABLE_LEN)?;
        let entries = table[REGION_ENTRIES_AT..].chunks_exact_mut(ENTRY_LEN).take(MAX_ENTRIES);
        for entry in entries.filter(|entry| guid_at(entry, 0) == BAT_REGION) {
            put(entry, REGION_OFFSET_AT, &start.to_le_bytes());
            put(entry, REGION_LENGTH_AT, &len.to_le_bytes());
        }
        seal(&mut table);
        Ok(table)
    }

    /// Copies host bytes to where there are zeros.
    fn copy(&self, from: Range<u64>, to: u64) -> Result<()> {
        let mut at = from.start;
        while at < from.end {
            let len = usize::try_from(from.end - at).unwrap_or(usize::MAX).min(STEP_LEN);
            let bytes = self.medium.read_vec(at, len)?;
            if bytes.iter().any(|byte| *byte != 0) {
                self.medium.write_at(&bytes, to + (at - from.start))?;
            }
            at += len as u64;
        }
        Ok(())
    }

    /// Writes the entries that `new` has and `old`, which is smaller, has not, in place.
    ///
    /// # Errors
    ///
    /// [`Io`](imgfmt_core::ErrorKind::Io).
    pub(super) fn fill_entries(&mut self, old: &Geometry, new: &Geometry, filling: Filling) -> Result<()> {
        // The bitmap of the old disk's last chunk lies behind entries that are new.
        let kept = old.differencing.then(|| old.entries().checked_sub(1)).flatten();
        let (mut index, end) = (old.payload_index(old.blocks()), new.entries());
        while index < end {
            let until = kept.filter(|&kept| kept >= index).unwrap_or(end).min(index + STEP_ENTRIES).min(end);
            let entries: Result<Vec<u64>> = (index..until).map(|index| self.new_entry(index, new, filling)).collect();
            self.write_entries(index, &entries?)?;
            index = if kept == Some(until) { until + 1 } else { until };
        }
        self.journal.forget_read();
        Ok(())
    }

    /// What a new entry is.
    fn new_entry(&mut self, index: u64, new: &Geometry, filling: Filling) -> Result<u64> {
        let Filling::Blocks(preallocation) = filling else { return Ok(0) };
        let is_bitmap = index % (new.chunk_blocks() + 1) == new.chunk_blocks();
        if is_bitmap || new.blocks_before(index) >= new.blocks() {
            return Ok(0);
        }
        if preallocation == Preallocation::Off && !self.fixed {
            // The bytes are zero, whatever the parent has.
            return Ok(if new.differencing { entry_state::ZERO } else { entry_state::NOT_PRESENT });
        }
        let host = self.allocate_block()?;
        match preallocation {
            Preallocation::Off | Preallocation::Metadata => {}
            Preallocation::Falloc => self.medium.reserve(host..host + new.block_len)?,
            Preallocation::Full => {
                let zeros = vec![0; STEP_LEN];
                let steps = (host..host + new.block_len).step_by(STEP_LEN);
                steps.into_iter().try_for_each(|at| self.medium.write_at(&zeros, at))?;
            }
        }
        Ok(host | entry_state::FULLY_PRESENT)
    }

    /// Writes entries from `index` on where they are not as they should be.
    fn write_entries(&self, index: u64, entries: &[u64]) -> Result<()> {
        let at = self.regions.bat.start + index * BAT_ENTRY_LEN;
        let bytes: Vec<u8> = entries.iter().flat_map(|entry| entry.to_le_bytes()).collect();
        let mut old = vec![0; bytes.len()];
        self.medium.read_padded(&mut old, at)?;
        if old == bytes { Ok(()) } else { self.medium.write_at(&bytes, at) }
    }
}

/// Bytes that are copied or written at once: 1 MiB, of which a block is a multiple.
const STEP_LEN: usize = 1 << 20;
/// Entries that are written at once.
const STEP_ENTRIES: u64 = 8192;
