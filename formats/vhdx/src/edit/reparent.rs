//! Another parent, or none.
//!
//! All that changes goes into one commit, so it has to fit into the log.

use std::ops::Range;
use std::sync::Arc;

use imgfmt_core::{Backing, Error, Medium, OpenContext, Reparent, Result};

use super::state::State;
use crate::fields::u32_at;
use crate::geometry::Geometry;
use crate::items::ItemTable;
use crate::layout::{
    BAT_OFFSET_MASK, BAT_STATE_MASK, FILE_PARAMETERS, HAS_PARENT, IS_REQUIRED, METADATA_TABLE_LEN, PARENT_LOCATOR,
    SECTOR_BITMAP_LEN, state as entry_state,
};
use crate::map::Block;
use crate::write::locator;
use crate::{NAME, Vhdx};

impl Reparent for Vhdx {
    fn set_parent(&self, medium: Arc<dyn Medium>, parent: Option<&Backing>, context: &OpenContext<'_>) -> Result<()> {
        let set = || {
            // A name that cannot be stored is refused before anything is changed.
            let locator = parent.map(locator::build).transpose()?;
            let mut state = State::open(medium, context.limits)?;
            state.set_parent(locator.as_deref())
        };
        context.without_snapshots()?;
        set().map_err(|e: Error| e.in_format(NAME))
    }
}

impl State {
    /// Makes `locator` what the image says of its parent.
    fn set_parent(&mut self, locator: Option<&[u8]>) -> Result<()> {
        if locator.is_none() && !self.geometry.differencing {
            return Ok(());
        }
        // What was a parent's shows otherwise, but the layer's own data is what it was: its children go on to know it.
        self.headers.update(self.medium.as_ref())?;
        self.begun = true;
        match locator {
            Some(locator) => {
                self.gain_parent()?;
                self.set_locator(locator)?;
            }
            None => self.lose_parent()?,
        }
        self.check_fits()?;
        self.close()
    }

    /// Refuses more changes than the log holds.
    fn check_fits(&self) -> Result<()> {
        match self.journal.len() > self.capacity() {
            true => Err(Error::unsupported("too much of the image is about its parent to be changed in one step")),
            false => Ok(()),
        }
    }

    /// The metadata table.
    pub(super) fn items(&mut self) -> Result<ItemTable> {
        let mut bytes = vec![0; METADATA_TABLE_LEN];
        self.journal.read(self.medium.as_ref(), &mut bytes, self.regions.metadata.start)?;
        Ok(ItemTable::new(bytes, self.regions.metadata.clone()))
    }

    /// Writes the item that names the parent.
    fn set_locator(&mut self, locator: &[u8]) -> Result<()> {
        let mut items = self.items()?;
        let at = items.place(PARENT_LOCATOR, IS_REQUIRED, locator.len())?;
        let medium = self.medium.as_ref();
        self.journal.write(medium, items.bytes(), self.regions.metadata.start)?;
        self.journal.write(medium, locator, at)
    }

    /// Makes a disk without parent one that can have one.
    fn gain_parent(&mut self) -> Result<()> {
        if self.geometry.differencing {
            return Ok(());
        }
        if self.fixed {
            return Err(Error::unsupported("a fixed disk cannot have a parent"));
        }
        let new = Geometry { differencing: true, ..self.geometry };
        self.make_table_room(&self.geometry.clone(), &new)?;
        for chunk in 0..new.blocks().div_ceil(new.chunk_blocks()) {
            self.set_entry(new.bitmap_index(chunk), 0)?;
            self.check_fits()?;
        }
        self.geometry = new;
        self.set_flag(true)
    }

    /// Makes a differencing disk one without parent: what was the parent's is zero.
    fn lose_parent(&mut self) -> Result<()> {
        let old = self.geometry;
        for block in 0..old.blocks() {
            let index = old.payload_index(block);
            if let Block::Partial(host) = Block::decode(self.entry(index)?)? {
                self.clear_parents(block, host)?;
                self.set_entry(index, host | entry_state::FULLY_PRESENT)?;
                self.check_fits()?;
            }
        }
        for chunk in 0..old.blocks().div_ceil(old.chunk_blocks()) {
            let entry = self.entry(old.bitmap_index(chunk))?;
            if entry & BAT_STATE_MASK == entry_state::FULLY_PRESENT {
                self.free(entry & BAT_OFFSET_MASK, SECTOR_BITMAP_LEN);
                self.set_entry(old.bitmap_index(chunk), 0)?;
                self.check_fits()?;
            }
        }
        let mut items = self.items()?;
        items.remove(PARENT_LOCATOR)?;
        self.journal.write(self.medium.as_ref(), items.bytes(), self.regions.metadata.start)?;
        self.geometry = Geometry { differencing: false, ..old };
        self.set_flag(false)
    }

    /// Clears the sectors of a block that are the parent's. They do not show before the commit.
    fn clear_parents(&mut self, block: u64, host: u64) -> Result<()> {
        let bitmap = self.bitmap_of(block)?;
        let sectors = self.sectors_of(block, &(0..self.geometry.block_len));
        let bytes = self.bits(bitmap, &sectors)?;
        let mut run: Option<Range<u64>> = None;
        for sector in 0..self.geometry.block_sectors() {
            let byte = usize::try_from(sector / 8).ok().and_then(|at| bytes.get(at)).copied().unwrap_or(0);
            if byte >> (sector % 8) & 1 == 0 {
                let start = run.take().map_or(sector, |run| run.start);
                run = Some(start..sector + 1);
            } else if let Some(run) = run.take() {
                self.clear_sectors(host, run)?;
            }
        }
        run.map_or(Ok(()), |run| self.clear_sectors(host, run))
    }

    /// Clears sectors of the block at `host`.
    fn clear_sectors(&self, host: u64, run: Range<u64>) -> Result<()> {
        let sector_len = self.geometry.sector_len;
        let end = (host + run.end * sector_len).min(self.medium.len());
        self.medium.clear(host + run.start * sector_len..end.max(host + run.start * sector_len))
    }

    /// Says whether there is a parent.
    fn set_flag(&mut self, has_parent: bool) -> Result<()> {
        let place = self.items()?.find(FILE_PARAMETERS)?;
        let at = place.ok_or_else(|| Error::malformed("the item File Parameters is missing"))?.start + 4;
        let mut flags = [0; 4];
        self.journal.read(self.medium.as_ref(), &mut flags, at)?;
        let flags = u32_at(&flags, 0);
        let flags = if has_parent { flags | HAS_PARENT } else { flags & !HAS_PARENT };
        self.journal.write(self.medium.as_ref(), &flags.to_le_bytes(), at)
    }
}
