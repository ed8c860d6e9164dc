//! Where things lie in a sparse extent whose tables come first, and its grains as they are placed.

use imgfmt_core::{Error, Result, Target};

use super::header::{GTES_PER_GT, NewHeader};
use super::settings::Settings;
use crate::layout::{ENTRY_LEN, Flags, SECTOR_LEN, ZEROED_ENTRY, byte_of};

/// The places of a sparse extent, in sectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// Guest sectors.
    pub(super) sectors: u64,
    /// Sectors of a grain.
    grain: u64,
    /// Sectors of the descriptor behind the header; 0 where it is a file of its own.
    descriptor: u64,
    /// Grain tables, all of which are there whether used or not.
    tables: u64,
    /// The redundant grain directory, with its tables behind it.
    rgd: u64,
    /// The grain directory, with its tables behind it.
    gd: u64,
    /// The first grain.
    pub(super) overhead: u64,
}

impl Plan {
    /// The plan of an extent of `sectors`, with room for a descriptor of so many sectors.
    ///
    /// # Errors
    ///
    /// [`Invalid`](imgfmt_core::ErrorKind::Invalid) where the tables alone take more than entries can say.
    pub(super) fn new(sectors: u64, grain: u64, descriptor: u64) -> Result<Self> {
        let tables = sectors.div_ceil(grain).div_ceil(GTES_PER_GT);
        let directory = (tables * ENTRY_LEN).div_ceil(SECTOR_LEN);
        let rgd = 1 + descriptor;
        let gd = rgd + directory + tables * TABLE_SECTORS;
        let end = gd + directory + tables * TABLE_SECTORS;
        let overhead = end.next_multiple_of(grain);
        if tables > MAX_TABLES || overhead > u64::from(u32::MAX) {
            let what = format!("a disk of {} bytes needs a grain_size above {}", byte_of(sectors), byte_of(grain));
            return Err(Error::invalid(what));
        }
        Ok(Self { sectors, grain, descriptor, tables, rgd, gd, overhead })
    }

    /// The header.
    pub(super) fn header(&self, settings: &Settings) -> NewHeader {
        let zeroed = if settings.zeroed_grain { Flags::ZEROED_GRAINS.0 } else { 0 };
        NewHeader {
            version: if settings.zeroed_grain { 2 } else { 1 },
            flags: Flags::REDUNDANT.0 | zeroed,
            capacity: self.sectors,
            grain_size: self.grain,
            descriptor_offset: u64::from(self.descriptor > 0),
            descriptor_size: self.descriptor,
            rgd_offset: self.rgd,
            gd_offset: self.gd,
            overhead: self.overhead,
        }
    }

    /// Writes both directories: each table has its place, so they are known from the start.
    pub(super) fn write_directories(&self, target: &dyn Target) -> Result<()> {
        for directory in [self.rgd, self.gd] {
            let first = self.first_table(directory);
            let mut index = 0;
            while index < self.tables {
                let count = (self.tables - index).min(ENTRIES_AT_ONCE);
                let tables = (index..index + count).map(|index| sector_entry(first + index * TABLE_SECTORS));
                let entries = tables.collect::<Result<Vec<u32>>>()?;
                target.write_at(&to_bytes(&entries), byte_of(directory) + index * ENTRY_LEN)?;
                index += count;
            }
        }
        Ok(())
    }

    /// The first of the tables that follow the directory at `directory`.
    fn first_table(&self, directory: u64) -> u64 {
        directory + (self.tables * ENTRY_LEN).div_ceil(SECTOR_LEN)
    }

    /// Writes table number `index` to both its places.
    fn write_table(&self, target: &dyn Target, index: u64, entries: &[u32]) -> Result<()> {
        let bytes = to_bytes(entries);
        for directory in [self.rgd, self.gd] {
            target.write_at(&bytes, byte_of(self.first_table(directory) + index * TABLE_SECTORS))?;
        }
        Ok(())
    }
}

/// The grains of an extent as they are placed, one behind the other.
#[derive(Debug)]
pub(super) struct Grains {
    /// The sector after the last grain.
    next: u64,
    /// The table of the last piece, and its number.
    open: Option<(u64, Vec<u32>)>,
}

impl Grains {
    /// No grains yet.
    pub(super) fn new(plan: &Plan) -> Self {
        Self { next: plan.overhead, open: None }
    }

    /// Bytes of the file as far as grains are placed.
    pub(super) fn file_len(&self) -> u64 {
        byte_of(self.next)
    }

    /// Places grains from number `first` on, at most `count` and as far as one table goes: says how many, and the host
    /// byte of the first. Zeros take an entry and no place.
    ///
    /// # Errors
    ///
    /// [`LimitExceeded`](imgfmt_core::ErrorKind::LimitExceeded) where an entry cannot say the place.
    pub(super) fn place(
        &mut self,
        plan: &Plan,
        target: &dyn Target,
        first: u64,
        count: u64,
        zero: bool,
    ) -> Result<(u64, u64)> {
        let (table, slot) = (first / GTES_PER_GT, first % GTES_PER_GT);
        let count = count.min(GTES_PER_GT - slot);
        let host = self.next;
        let step = if zero { 0 } else { plan.grain };
        sector_entry(host + count * step)?;
        let entries = self.open_table(plan, target, table)?;
        let slots = entries.iter_mut().skip(usize::try_from(slot).unwrap_or(usize::MAX));
        for (index, entry) in (0..count).zip(slots) {
            *entry = if zero { ZEROED_ENTRY } else { sector_entry(host + index * step)? };
        }
        self.next += count * step;
        Ok((count, byte_of(host)))
    }

    /// Makes table number `index` the one that entries go to. Pieces come in order, so the last one is complete.
    fn open_table(&mut self, plan: &Plan, target: &dyn Target, index: u64) -> Result<&mut Vec<u32>> {
        if self.open.as_ref().is_some_and(|(open, _)| *open != index) {
            self.close_table(plan, target)?;
        }
        let entries = || vec![0; usize::try_from(GTES_PER_GT).unwrap_or(0)];
        Ok(&mut self.open.get_or_insert_with(|| (index, entries())).1)
    }

    /// Writes the open table, if there is one.
    pub(super) fn close_table(&mut self, plan: &Plan, target: &dyn Target) -> Result<()> {
        match self.open.take() {
            Some((index, entries)) => plan.write_table(target, index, &entries),
            None => Ok(()),
        }
    }
}

/// A sector as a table entry.
pub(super) fn sector_entry(sector: u64) -> Result<u32> {
    u32::try_from(sector).map_err(|_| Error::limit("the extent takes more than 2 TiB, where table entries end"))
}

/// The bytes of table entries.
pub(super) fn to_bytes(entries: &[u32]) -> Vec<u8> {
    entries.iter().flat_map(|entry| entry.to_le_bytes()).collect()
}

/// Sectors of a grain table.
pub(super) const TABLE_SECTORS: u64 = GTES_PER_GT * ENTRY_LEN / SECTOR_LEN;
/// Most grain tables. Not a rule of the format: readers take a directory of 32 MiB by default, 256 TiB in usual grains.
pub(super) const MAX_TABLES: u64 = 8 << 20;
/// Directory entries that are written at once.
const ENTRIES_AT_ONCE: u64 = 16 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_lie_where_vmware_puts_them() {
        // As in a disk of 10 MiB by VMware's own library.
        let plan = Plan::new(20_480, 128, 20).unwrap();
        assert_eq!((plan.rgd, plan.gd, plan.overhead), (21, 26, 128));
    }

    #[test]
    fn a_plan_ends_where_entries_end() {
        assert!(Plan::new(128 << 30, 128, 20).is_ok());
        assert!(Plan::new(512 << 30, 128, 20).is_ok());
        assert!(Plan::new((512 << 30) + 1, 128, 20).is_err());
        assert!(Plan::new(128 << 30, 16, 20).is_err());
    }
}
