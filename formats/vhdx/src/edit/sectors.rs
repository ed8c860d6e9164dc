//! Sector bitmaps: which sectors of a block are stored here.

use std::ops::Range;

use imgfmt_core::Result;

use super::blocks::others_are_parents;
use super::state::State;
use crate::layout::{BAT_OFFSET_MASK, BAT_STATE_MASK, SECTOR_BITMAP_LEN, state as entry_state};

impl State {
    /// Says that the sectors of the bytes `within` a block are stored here.
    ///
    /// # Errors
    ///
    /// [`Io`](imgfmt_core::ErrorKind::Io).
    pub(super) fn mark(&mut self, block: u64, within: &Range<u64>) -> Result<()> {
        let bitmap = self.bitmap_of(block)?;
        let sectors = self.sectors_of(block, within);
        let first = sectors.start / 8;
        let mut bytes = self.bits(bitmap, &sectors)?;
        for sector in sectors {
            if let Some(byte) = usize::try_from(sector / 8 - first).ok().and_then(|at| bytes.get_mut(at)) {
                *byte |= 1 << (sector % 8);
            }
        }
        self.journal.write(self.medium.as_ref(), &bytes, bitmap + first)
    }

    /// Says that no sector of a block is stored here.
    ///
    /// # Errors
    ///
    /// [`Io`](imgfmt_core::ErrorKind::Io).
    pub(super) fn unmark(&mut self, block: u64) -> Result<()> {
        let bitmap = self.bitmap_of(block)?;
        let sectors = self.sectors_of(block, &(0..self.geometry.block_len));
        let zeros = vec![0; self.bits(bitmap, &sectors)?.len()];
        self.journal.write(self.medium.as_ref(), &zeros, bitmap + sectors.start / 8)
    }

    /// Refuses the bytes `within` a block where they are a sector in part and the rest of that is the parent's.
    ///
    /// # Errors
    ///
    /// [`Missing`](imgfmt_core::ErrorKind::Missing), or [`Io`](imgfmt_core::ErrorKind::Io).
    pub(super) fn check_sectors(&mut self, block: u64, within: &Range<u64>) -> Result<()> {
        let sector_len = self.geometry.sector_len;
        for at in [within.start, within.end].into_iter().filter(|at| !at.is_multiple_of(sector_len)) {
            let bitmap = self.bitmap_of(block)?;
            let sector = self.sectors_of(block, &(at..at + 1));
            let byte = self.bits(bitmap, &sector)?.first().copied().unwrap_or(0);
            if byte >> (sector.start % 8) & 1 == 0 {
                return Err(others_are_parents());
            }
        }
        Ok(())
    }

    /// The sectors of the bytes `within` a block, as its chunk counts them.
    pub(super) fn sectors_of(&self, block: u64, within: &Range<u64>) -> Range<u64> {
        let base = block % self.geometry.chunk_blocks() * self.geometry.block_sectors();
        let sector_len = self.geometry.sector_len;
        base + within.start / sector_len..base + within.end.div_ceil(sector_len)
    }

    /// The bytes that hold the bits of `sectors`, of the bitmap at host byte `bitmap`.
    pub(super) fn bits(&mut self, bitmap: u64, sectors: &Range<u64>) -> Result<Vec<u8>> {
        let len = sectors.end.div_ceil(8) - sectors.start / 8;
        let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
        self.journal.read(self.medium.as_ref(), &mut bytes, bitmap + sectors.start / 8)?;
        Ok(bytes)
    }

    /// Host byte of the sector bitmap of a block's chunk, which gets one where there is none.
    pub(super) fn bitmap_of(&mut self, block: u64) -> Result<u64> {
        let index = self.geometry.bitmap_index(block / self.geometry.chunk_blocks());
        let entry = self.entry(index)?;
        if entry & BAT_STATE_MASK == entry_state::FULLY_PRESENT {
            return Ok(entry & BAT_OFFSET_MASK);
        }
        let host = self.allocate(SECTOR_BITMAP_LEN)?;
        self.set_entry(index, host | entry_state::FULLY_PRESENT)?;
        Ok(host)
    }
}
