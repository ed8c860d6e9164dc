//! Putting tables onto the medium, in an order in which readers always find whole ones.

use imgfmt_core::Result;

use super::directory::Which;
use super::grains::Grains;
use crate::layout::byte_of;

impl Grains {
    /// Puts data and tables onto the medium, and what has been given up behind them.
    pub(super) fn flush(&mut self) -> Result<()> {
        if self.tables.values().any(|table| table.dirty) {
            self.flush_tables()?;
        }
        while let Some(&sector) = self.freed.last() {
            self.clear_grain(sector)?;
            self.freed.pop();
        }
        Ok(())
    }

    /// Writes all tables that have changed.
    pub(super) fn flush_tables(&mut self) -> Result<()> {
        let dirty: Vec<u64> = self.tables.iter().filter(|(_, table)| table.dirty).map(|(&index, _)| index).collect();
        self.place_tables(&dirty)?;
        let placed = self.unlinked.clone();
        // The data first, with tables that nothing leads to yet.
        for &index in &placed {
            self.write_table(index, Which::First)?;
        }
        self.medium.sync()?;
        for which in [Which::Spare, Which::First] {
            for index in dirty.iter().filter(|&index| which == Which::Spare || !placed.contains(index)) {
                self.write_table(*index, which)?;
            }
            self.medium.sync()?;
        }
        if !placed.is_empty() {
            for which in [Which::Spare, Which::First] {
                placed.iter().try_for_each(|&index| self.write_directory_entry(index, which))?;
                self.medium.sync()?;
            }
            self.unlinked.clear();
        }
        for index in dirty {
            self.tables.entry(index).and_modify(|table| table.dirty = false);
        }
        Ok(())
    }

    /// Gives a place to those of the tables `dirty` that have none.
    fn place_tables(&mut self, dirty: &[u64]) -> Result<()> {
        let sectors = self.table_sectors();
        for &index in dirty {
            let slot = usize::try_from(index).unwrap_or(usize::MAX);
            if self.first.get(slot).is_none_or(|&sector| sector != 0) {
                continue;
            }
            let spare = if self.spare.is_some() { self.append(sectors)? } else { 0 };
            let first = self.append(sectors)?;
            self.spare.iter_mut().filter_map(|entries| entries.get_mut(slot)).for_each(|entry| *entry = spare);
            self.first.get_mut(slot).into_iter().for_each(|entry| *entry = first);
            self.unlinked.push(index);
        }
        Ok(())
    }

    /// Writes table number `index`, which is in memory, to one of its places.
    fn write_table(&self, index: u64, which: Which) -> Result<()> {
        let slot = usize::try_from(index).unwrap_or(usize::MAX);
        let sector = self.directory(which).and_then(|directory| directory.get(slot)).copied().unwrap_or(0);
        match self.tables.get(&index) {
            Some(table) if sector != 0 => {
                let bytes: Vec<u8> = table.entries.iter().flat_map(|entry| entry.to_le_bytes()).collect();
                self.medium.write_at(&bytes, byte_of(u64::from(sector)))
            }
            _ => Ok(()),
        }
    }
}
