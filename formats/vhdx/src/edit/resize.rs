//! Another size of the disk.
//!
//! What changes a size is committed by itself. Entries of the table behind the last one of the disk mean nothing, so they
//! are filled in place before the size says that they count.

use imgfmt_core::{Erase, Error, Limits, Preallocation, Result};

use super::grow::Filling;
use super::state::State;
use crate::geometry::Geometry;
use crate::layout::{BAT_OFFSET_MASK, BAT_STATE_MASK, MAX_DISK_LEN, SECTOR_BITMAP_LEN, state as entry_state};
use crate::map::Block;

impl State {
    /// Makes the disk `size` bytes large.
    ///
    /// # Errors
    ///
    /// As [`ImageEditor::resize`](imgfmt_core::ImageEditor::resize).
    pub(super) fn resize(&mut self, size: u64, preallocation: Preallocation) -> Result<()> {
        self.check_size(size)?;
        if size == self.geometry.size {
            return Ok(());
        }
        self.begin()?;
        self.commit()?;
        let (geometry, regions) = (self.geometry, self.regions.clone());
        let (space, len) = (self.space.clone(), self.medium.len());
        let outcome = match size < geometry.size {
            true => self.shrink(size),
            false => self.grow(size, preallocation),
        };
        if outcome.is_err() && !self.failed {
            (self.geometry, self.regions, self.space) = (geometry, regions, space);
            self.journal.clear();
            self.freed.clear();
            // Where that fails too, the space is leaked: what went wrong before is what is told.
            let _ = self.medium.set_len(len);
        }
        outcome
    }

    /// Refuses sizes that the format does not have.
    fn check_size(&self, size: u64) -> Result<()> {
        let sector_len = self.geometry.sector_len;
        if !size.is_multiple_of(sector_len) {
            return Err(Error::invalid(format!("a disk of {size} bytes is no whole sectors of {sector_len} bytes")));
        }
        if size > MAX_DISK_LEN {
            return Err(Error::invalid(format!("a disk of {size} bytes is too large: VHDX ends at 64 TiB")));
        }
        Limits::check("size", size, self.limits.virtual_size)
    }

    /// Gives back the blocks behind `size`.
    fn shrink(&mut self, size: u64) -> Result<()> {
        let (old, new) = (self.geometry, Geometry { size, ..self.geometry });
        for block in new.blocks()..old.blocks() {
            if let Block::Full(host) | Block::Partial(host) = Block::decode(self.entry(old.payload_index(block))?)? {
                self.free(host, old.block_len);
            }
        }
        if old.differencing {
            let chunks = |geometry: &Geometry| geometry.blocks().div_ceil(geometry.chunk_blocks());
            for chunk in chunks(&new)..chunks(&old) {
                let entry = self.entry(old.bitmap_index(chunk))?;
                if entry & BAT_STATE_MASK == entry_state::FULLY_PRESENT {
                    self.free(entry & BAT_OFFSET_MASK, SECTOR_BITMAP_LEN);
                }
            }
        }
        self.set_size(size)?;
        self.geometry = new;
        self.commit()?;
        // Nobody looks at their entries, until somebody makes the disk larger: it is smaller even where this fails.
        let _ = self.fill_entries(&new, &old, Filling::Zeros);
        Ok(())
    }

    /// Adds zeros up to `size`.
    fn grow(&mut self, size: u64, preallocation: Preallocation) -> Result<()> {
        let (old, new) = (self.geometry, Geometry { size, ..self.geometry });
        self.complete_last_block(&old)?;
        self.make_table_room(&old, &new)?;
        self.fill_entries(&old, &new, Filling::Blocks(preallocation))?;
        // What the last block had behind the end of the disk may be anything.
        self.geometry = new;
        let block = old.size / old.block_len;
        let within = old.size % old.block_len..old.block_len.min(size - block * old.block_len);
        if within.start != 0 {
            self.erase_block(block, within, Erase::Zero)?;
        }
        self.set_size(size)?;
        self.commit()
    }

    /// Makes the file as long as its last block: some programs leave off what is behind the end of the disk.
    fn complete_last_block(&mut self, old: &Geometry) -> Result<()> {
        if old.size.is_multiple_of(old.block_len) {
            return Ok(());
        }
        let index = old.payload_index(old.blocks() - 1);
        match Block::decode(self.entry(index)?)? {
            Block::Full(host) | Block::Partial(host) if host + old.block_len > self.medium.len() => {
                self.medium.set_len(host + old.block_len)
            }
            _ => Ok(()),
        }
    }
}
