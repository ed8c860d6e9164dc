//! Another size for a sparse extent.

use std::ops::Range;

use imgfmt_core::{Error, Preallocation, Result, StorageExt, write_zeros};

use super::directory::Which;
use super::grains::{Grain, Grains};
use super::parents_bytes;
use super::resize::Plan;
use super::state::{Content, State};
use super::write::usize_of;
use crate::header::Header;
use crate::layout::{
    CAPACITY_AT, ENTRY_LEN, GD_OFFSET_AT, HEADER_LEN, RGD_OFFSET_AT, SECTOR_LEN, ZEROED_ENTRY, byte_of, le_u32s,
};

impl State {
    /// Makes the last extent, which is sparse, as large as `plan` says.
    pub(super) fn resize_sparse(&mut self, plan: Plan) -> Result<()> {
        let has_parent = self.has_parent;
        let Some(Content::Sparse(grains)) = self.parts.get_mut(plan.number).map(|part| &mut part.content) else {
            return Ok(());
        };
        let old = (grains.size, grains.header);
        if plan.size > grains.size {
            let (first, spare) = (grains.first.clone(), grains.spare.clone());
            let prepared = grains.prepare_growth(plan.size, plan.preallocation, has_parent);
            if let Err(error) = prepared.and_then(|()| self.halt.on_error(grains.write_header())) {
                // The header does not lead to what has been prepared.
                (grains.size, grains.header) = old;
                (grains.first, grains.spare) = (first, spare);
                return Err(error);
            }
            self.parts[plan.number].size = plan.size;
            let grains = Self::grains_of(&mut self.parts, plan.number);
            let abandoned = grains.map(|grains| grains.abandoned(&old.1)).unwrap_or_default();
            self.resize_text(&plan)?;
            let medium = Self::grains_of(&mut self.parts, plan.number).map(|grains| &grains.medium);
            return medium.map_or(Ok(()), |medium| abandoned.into_iter().try_for_each(|range| medium.clear(range)));
        }
        grains.header.capacity = plan.size / SECTOR_LEN;
        grains.size = plan.size;
        if let Err(error) = self.halt.on_error(grains.write_header()) {
            (grains.size, grains.header) = old;
            return Err(error);
        }
        grains.tables.clear();
        self.parts[plan.number].size = plan.size;
        self.resize_text(&plan)?;
        match Self::grains_of(&mut self.parts, plan.number) {
            Some(grains) => grains.cut_off(old.0, &old.1),
            None => Ok(()),
        }
    }

    /// The grains of extent `number`, where it has grains.
    fn grains_of(parts: &mut [super::state::Part], number: usize) -> Option<&mut Grains> {
        match &mut parts.get_mut(number)?.content {
            Content::Sparse(grains) => Some(grains),
            Content::Flat { .. } => None,
        }
    }
}

impl Grains {
    /// Puts everything onto the medium that an extent of `size` bytes needs, but for its header.
    fn prepare_growth(&mut self, size: u64, preallocation: Preallocation, has_parent: bool) -> Result<()> {
        let old_size = self.size;
        let mut header = self.header;
        header.capacity = size / SECTOR_LEN;
        let last = self.count() - 1;
        let partly = !old_size.is_multiple_of(header.grain_len());
        if partly {
            match self.get(last)? {
                Grain::Stored(sector) => self.move_last(last, sector)?,
                Grain::Absent if has_parent => return Err(parents_bytes(old_size - 1)),
                Grain::Absent | Grain::Zeroed => {}
            }
        }
        self.flush()?;
        self.extend_directories(&header)?;
        // Entries behind the old end are from now on what they are in memory.
        self.header.capacity = header.capacity;
        self.size = size;
        let new = last + 1..self.count();
        self.reset_table(&new)?;
        self.fill(new, preallocation, has_parent)?;
        self.flush()?;
        self.medium.sync()
    }

    /// Gives the last grain, of which only what the disk has may be stored, a place for all of it.
    fn move_last(&mut self, grain: u64, sector: u32) -> Result<()> {
        let range = self.range_of(grain);
        let new = self.allocate()?;
        let mut buf = vec![0; usize_of(range.end - range.start).min(COPY_LEN)];
        let mut at = 0;
        while at < range.end - range.start {
            let len = usize_of(range.end - range.start - at).min(buf.len());
            self.medium.read_at(&mut buf[..len], byte_of(u64::from(sector)) + at)?;
            self.medium.write_at(&buf[..len], byte_of(u64::from(new)) + at)?;
            at += len as u64;
        }
        self.set(grain, Grain::Stored(new))?;
        self.give_up(sector)
    }

    /// Makes both directories as long as `header` needs, with tables of nothing, at the end where there is no room.
    fn extend_directories(&mut self, header: &Header) -> Result<()> {
        let (old, new) = (self.header.table_count(), header.table_count());
        if new == old {
            return Ok(());
        }
        let moves = new > (old * ENTRY_LEN).next_multiple_of(SECTOR_LEN) / ENTRY_LEN;
        for which in [Which::Spare, Which::First] {
            let Some(mut entries) = self.directory(which).cloned() else { continue };
            entries.truncate(usize_of(old));
            let directory_sectors = if moves { (new * ENTRY_LEN).div_ceil(SECTOR_LEN) } else { 0 };
            let start = u64::from(self.append(directory_sectors + (new - old) * self.table_sectors())?);
            for index in 0..new - old {
                let sector = start + directory_sectors + index * self.table_sectors();
                entries.push(u32::try_from(sector).map_err(|_| Error::limit("the file is too long for entries"))?);
            }
            let first = if moves { 0 } else { usize_of(old) };
            let at = match self.directory_at(which) {
                _ if moves => byte_of(start),
                at => at.unwrap_or(0) + old * ENTRY_LEN,
            };
            let bytes: Vec<u8> = entries[first..].iter().flat_map(|entry| entry.to_le_bytes()).collect();
            self.medium.write_at(&bytes, at)?;
            match which {
                Which::First => self.first = entries,
                Which::Spare => self.spare = Some(entries),
            }
            match which {
                Which::First if moves => self.header.gd_offset = start,
                Which::Spare if moves => self.header.rgd_offset = start,
                _ => {}
            }
        }
        Ok(())
    }

    /// Makes the table that has the first of the grains `new`, and had grains before, say nothing of the new ones.
    fn reset_table(&mut self, new: &Range<u64>) -> Result<()> {
        let per_table = u64::from(self.header.gtes_per_gt);
        let slot = usize_of(new.start % per_table);
        if new.is_empty() || self.is_empty_table(new.start / per_table) {
            return Ok(());
        }
        let table = self.table(new.start / per_table)?;
        table.entries.iter_mut().skip(slot).for_each(|entry| *entry = 0);
        table.dirty = true;
        Ok(())
    }

    /// Makes new grains zeros, whatever a parent has there, and gives them space where that is asked for.
    fn fill(&mut self, new: Range<u64>, preallocation: Preallocation, has_parent: bool) -> Result<()> {
        let stores = preallocation != Preallocation::Off || (has_parent && !self.has_zeroed());
        if !stores && !has_parent {
            return Ok(());
        }
        for grain in new {
            if !stores {
                self.set(grain, Grain::Zeroed)?;
                continue;
            }
            let sector = self.allocate()?;
            let start = byte_of(u64::from(sector));
            let host = start..start + self.header.grain_len();
            match preallocation {
                Preallocation::Off | Preallocation::Metadata => {}
                Preallocation::Falloc => self.medium.reserve(host)?,
                Preallocation::Full => write_zeros(self.medium.as_ref(), host)?,
            }
            self.set(grain, Grain::Stored(sector))?;
        }
        Ok(())
    }

    /// Writes the size and the places of the directories, in one write of the first sector.
    fn write_header(&self) -> Result<()> {
        let mut sector = self.medium.read_array::<HEADER_LEN>(0)?;
        let fields = [
            (CAPACITY_AT, self.header.capacity),
            (RGD_OFFSET_AT, self.header.rgd_offset),
            (GD_OFFSET_AT, self.header.gd_offset),
        ];
        for (at, value) in fields {
            sector[at..at + 8].copy_from_slice(&value.to_le_bytes());
        }
        self.medium.write_at(&sector, 0)?;
        self.medium.sync()
    }

    /// The directories of `old` that are not those of the extent any more, as host bytes.
    fn abandoned(&self, old: &Header) -> Vec<Range<u64>> {
        let len = (old.table_count() * ENTRY_LEN).next_multiple_of(SECTOR_LEN);
        let run = |sector: u64| byte_of(sector)..byte_of(sector) + len;
        let first = Some(old.gd_offset).filter(|&sector| sector != self.header.gd_offset);
        let spare = old.redundant_directory().filter(|&sector| sector != self.header.rgd_offset);
        first.into_iter().chain(spare).map(run).collect()
    }

    /// Gives up all grains and tables behind the end, which were in an extent of `old_size` bytes with the header `old`.
    ///
    /// The header does not lead to them any more, so nothing depends on the order.
    fn cut_off(&mut self, old_size: u64, old: &Header) -> Result<()> {
        let per_table = u64::from(old.gtes_per_gt);
        let (first, count) = (self.count(), old_size.div_ceil(old.grain_len()));
        let mut next = first;
        while next < count {
            let end = ((next / per_table + 1) * per_table).min(count);
            self.cut_off_grains(next..end, old_size)?;
            next = end;
        }
        let (new, was) = (self.header.table_count(), old.table_count());
        for which in [Which::First, Which::Spare] {
            let Some(at) = self.directory_at(which).filter(|_| new < was) else { continue };
            self.medium.write_at(&vec![0; usize_of((was - new) * ENTRY_LEN)], at + new * ENTRY_LEN)?;
        }
        self.first.truncate(usize_of(new));
        self.spare.iter_mut().for_each(|spare| spare.truncate(usize_of(new)));
        self.medium.sync()
    }

    /// Gives up the grains of `range`, which are all in one table, in an extent that had `old_size` bytes.
    fn cut_off_grains(&mut self, range: Range<u64>, old_size: u64) -> Result<()> {
        let per_table = u64::from(self.header.gtes_per_gt);
        let index = usize_of(range.start / per_table);
        let (slot, slots) = (range.start % per_table, range.end - range.start);
        let place = |table: u32| byte_of(u64::from(table)) + slot * ENTRY_LEN;
        let Some(&table) = self.first.get(index).filter(|&&table| table != 0) else { return Ok(()) };
        let entries = le_u32s(&self.medium.read_vec(place(table), usize_of(slots * ENTRY_LEN))?);
        let copy = self.spare.as_ref().and_then(|spare| spare.get(index)).copied().filter(|&table| table != 0);
        for table in std::iter::once(table).chain(copy) {
            self.medium.write_at(&vec![0; usize_of(slots * ENTRY_LEN)], place(table))?;
        }
        for (grain, &entry) in range.zip(&entries) {
            if entry == 0 || (entry == ZEROED_ENTRY && self.has_zeroed()) {
                continue;
            }
            if self.short_last == Some(entry) {
                let (start, len) = (byte_of(u64::from(entry)), old_size - grain * self.header.grain_len());
                self.short_last = None;
                self.medium.clear(start..start + len)?;
            } else {
                self.clear_grain(entry)?;
            }
        }
        Ok(())
    }
}

/// Bytes that are copied at once.
const COPY_LEN: usize = 1 << 20;
