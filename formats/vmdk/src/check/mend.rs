//! Putting tables and directories back in order: tables first, and what leads to them when they are there.

use std::collections::BTreeMap;

use imgfmt_core::{Error, Result, StorageExt};

use super::directories::{Directories, Which, read_table};
use super::extent::Subject;
use crate::layout::{ENTRY_LEN, GD_OFFSET_AT, RGD_OFFSET_AT, SECTOR_LEN, byte_of};

/// Collects what is to be done about the directories of an extent, and does it.
pub(super) struct Mender<'a> {
    /// The extent.
    subject: &'a Subject<'a>,
    /// Sectors in use by metadata: where each run starts, and where it ends.
    taken: BTreeMap<u64, u64>,
    /// Tables to copy: the number, from where, for which directory.
    copies: Vec<(usize, u64, Which)>,
    /// Tables that a directory is to forget.
    forgotten: Vec<(usize, Which)>,
}

impl<'a> Mender<'a> {
    /// Nothing to do yet.
    pub(super) fn new(subject: &'a Subject<'a>, directories: &Directories) -> Self {
        let mut taken: BTreeMap<u64, u64> = directories.fixed.iter().map(|run| (run.start, run.end)).collect();
        let sectors = subject.table_sectors();
        for directory in [Some(&directories.first), directories.spare.as_ref()].into_iter().flatten() {
            let tables = (0..directory.tables.len()).filter_map(|index| directory.table(index));
            taken.extend(tables.map(|table| (table, table + sectors)));
        }
        Self { subject, taken, copies: Vec::new(), forgotten: Vec::new() }
    }

    /// Table number `index`, which is at sector `from`, is to be in the other directory too.
    pub(super) fn copy_table(&mut self, index: usize, from: u64, to: Which) {
        self.copies.push((index, from, to));
    }

    /// A directory is to have no table number `index`.
    pub(super) fn forget_table(&mut self, index: usize, which: Which) {
        self.forgotten.push((index, which));
    }

    /// Does it all.
    pub(super) fn run(mut self, directories: &mut Directories) -> Result<()> {
        if self.copies.is_empty() && self.forgotten.is_empty() {
            return Ok(());
        }
        let target = self.subject.file.target()?;
        let moved = self.place_directories(directories)?;
        let mut entries = Vec::new();
        for (index, from, which) in std::mem::take(&mut self.copies) {
            let bytes = read_table(self.subject, from)?;
            let sector = self.place_table(directories, which, index)?;
            target.write_at(&bytes, byte_of(sector))?;
            entries.push((which, index, sector));
        }
        entries.extend(self.forgotten.iter().map(|&(index, which)| (which, index, 0)));
        target.sync()?;
        // The first directory first: where both lead to one table, that of the redundant one is what shows it.
        for which in [Which::First, Which::Spare] {
            let of_it = entries.iter().filter(|(of, ..)| *of == which).map(|&(_, index, sector)| (index, sector));
            self.write_entries(directories, which, of_it.collect())?;
            target.sync()?;
        }
        for (field_at, sector) in moved {
            target.write_at(&sector.to_le_bytes(), field_at as u64)?;
            target.sync()?;
        }
        Ok(())
    }

    /// Writes entries of a directory, in one write: of two tables that lie in each other, the one would look sound as soon
    /// as the other is mended.
    fn write_entries(&self, directories: &mut Directories, which: Which, entries: Vec<(usize, u64)>) -> Result<()> {
        let Some(directory) = directories.get_mut(which) else { return Ok(()) };
        let indices = entries.iter().map(|&(index, _)| index);
        let Some((first, last)) = indices.clone().min().zip(indices.max()) else { return Ok(()) };
        let Some(at) = directory.sector.map(|sector| byte_of(sector) + first as u64 * ENTRY_LEN) else { return Ok(()) };
        let entry_len = size_of::<u32>();
        let mut bytes = self.subject.storage().read_vec(at, (last - first + 1) * entry_len)?;
        for (index, sector) in entries {
            let entry = u32::try_from(sector).map_err(|_| too_far())?;
            bytes[(index - first) * entry_len..][..entry_len].copy_from_slice(&entry.to_le_bytes());
            directory.tables[index] = sector;
        }
        self.subject.file.target()?.write_at(&bytes, at)
    }

    /// Gives directories without a place one at the end; says which fields of the header will have to say so.
    fn place_directories(&mut self, directories: &mut Directories) -> Result<Vec<(usize, u64)>> {
        let mut moved = Vec::new();
        for (which, field_at) in [(Which::First, GD_OFFSET_AT), (Which::Spare, RGD_OFFSET_AT)] {
            let sectors = self.subject.directory_sectors();
            let wanted =
                self.copies.iter().any(|&(_, _, to)| to == which) || self.forgotten.iter().any(|&(_, of)| of == which);
            let Some(directory) = directories.get_mut(which) else { continue };
            if directory.sector.is_none() && wanted {
                let sector = self.append(sectors)?;
                directory.sector = Some(sector);
                moved.push((field_at, sector));
            }
        }
        Ok(moved)
    }

    /// A place for table number `index` of a directory: where writers put it, if that is free, else at the end.
    fn place_table(&mut self, directories: &mut Directories, which: Which, index: usize) -> Result<u64> {
        let sectors = self.subject.table_sectors();
        let directory = directories.get_mut(which).and_then(|directory| directory.sector);
        let usual = directory.map(|sector| sector + self.subject.directory_sectors() + index as u64 * sectors);
        let end = self.subject.header.overhead.min(self.subject.storage().len() / SECTOR_LEN);
        match usual.filter(|&sector| sector + sectors <= end && self.is_free(sector, sector + sectors)) {
            Some(sector) => {
                self.taken.insert(sector, sector + sectors);
                Ok(sector)
            }
            None => self.append(sectors),
        }
    }

    /// Whether no metadata is in sectors `start` to `end`.
    fn is_free(&self, start: u64, end: u64) -> bool {
        self.taken.range(..end).next_back().is_none_or(|(_, &taken)| taken <= start)
    }

    /// A place of `sectors` at the end of the file.
    fn append(&mut self, sectors: u64) -> Result<u64> {
        let sector = self.subject.file_sectors().next_multiple_of(self.subject.header.grain_size);
        if sector + sectors > u64::from(u32::MAX) {
            return Err(too_far());
        }
        self.subject.file.target()?.set_len(byte_of(sector + sectors))?;
        self.taken.insert(sector, sector + sectors);
        Ok(sector)
    }
}

/// The error of a file that is longer than entries can say.
fn too_far() -> Error {
    Error::limit("the file is too long for another table: entries could not say where it is")
}
