//! Where blocks go, and what the table says of them.

use std::ops::Range;

use imgfmt_core::{Error, Result, write_zeros};

use super::blocks::Disk;
use crate::bitmap::set_bits;
use crate::layout::{ENTRY_LEN, PAGE_LEN, SECTOR_LEN, UNUSED_ENTRY, bitmap_len};

/// What is done about the space of a new block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Space {
    /// Nothing: it is a hole.
    Hole,
    /// The file system takes it.
    Reserved,
    /// Zeros are written.
    Zeros,
}

impl Disk {
    /// Gives `indices`, which have none, each a place that reads as zeros but for a bitmap that says what is stored of
    /// guest `range`; all of it where there is no parent. Nothing leads there yet.
    pub(super) fn place(&mut self, indices: &[u64], range: &Range<u64>, space: Space) -> Result<Vec<(u64, u64)>> {
        let stride = self.grid.stride();
        // Places that are free already.
        let (reused, rest) = indices.split_at(indices.len().min(self.free.len()));
        let free = self.free.split_off(self.free.len() - reused.len());
        let mut placed: Vec<_> = reused.iter().copied().zip(free).collect();
        let started = placed.iter().try_for_each(|(_, at)| self.medium.clear(*at..at + stride)).and_then(|()| {
            placed.extend(if rest.is_empty() { Vec::new() } else { self.append(rest)? });
            placed.iter().try_for_each(|(index, at)| self.start_block(*index, *at, range, space))
        });
        if let Err(error) = started {
            self.take_back(&placed);
            return Err(error);
        }
        Ok(placed)
    }

    /// Lets the places go that were given and that nothing leads to.
    pub(super) fn take_back(&mut self, placed: &[(u64, u64)]) {
        self.free.extend(placed.iter().map(|(_, at)| *at));
        self.shrinks = true;
    }

    /// Places for `indices` behind everything else, with the footer behind them.
    fn append(&mut self, indices: &[u64]) -> Result<Vec<(u64, u64)>> {
        let (stride, align) = (self.grid.stride(), self.grid.block_len.min(PAGE_LEN));
        let old_end = self.footers.end;
        let mut placed = Vec::with_capacity(indices.len());
        let mut next = old_end;
        for index in indices {
            // Its data is aligned, not its bitmap.
            let bitmap = bitmap_len(self.grid.block_len);
            let at = (next + bitmap).next_multiple_of(align.max(SECTOR_LEN)) - bitmap;
            if u32::try_from(at / SECTOR_LEN).is_ok_and(|sector| sector != UNUSED_ENTRY) {
                placed.push((*index, at));
                next = at + stride;
            } else {
                return Err(Error::limit("the file would pass 2 TiB, beyond which no block can lie").at(at));
            }
        }
        self.append_until(next)?;
        // The footer that was there, and nothing else.
        self.medium.clear(old_end..next)?;
        Ok(placed)
    }

    /// Makes room up to byte `end`, with the footer behind it. What was in front of it still is, the old footer, too.
    pub(super) fn append_until(&mut self, end: u64) -> Result<()> {
        self.medium.sync()?;
        self.footers.move_behind(self.medium.as_ref(), end)?;
        self.medium.sync()
    }

    /// Writes the bitmap of a new block, and takes space as `space` says.
    fn start_block(&self, index: u64, at: u64, range: &Range<u64>, space: Space) -> Result<()> {
        let block_len = self.grid.block_len;
        let mut bitmap = vec![0; usize::try_from(bitmap_len(block_len)).unwrap_or(usize::MAX)];
        let sectors = if self.has_parent {
            let start = index * block_len;
            let part = range.start.max(start) - start..range.end.min(start + block_len) - start;
            part.start / SECTOR_LEN..part.end.div_ceil(SECTOR_LEN)
        } else {
            0..block_len / SECTOR_LEN
        };
        set_bits(&mut bitmap, sectors.start, sectors.end);
        match space {
            Space::Hole => {}
            Space::Reserved => self.medium.reserve(at..at + self.grid.stride())?,
            Space::Zeros => write_zeros(self.medium.as_ref(), self.data_at(at)..at + self.grid.stride())?,
        }
        self.medium.write_at(&bitmap, at)
    }

    /// Makes the table lead to blocks that have been placed, once what they hold is on the medium.
    pub(super) fn link(&mut self, placed: &[(u64, u64)]) -> Result<()> {
        self.medium.sync()?;
        for (index, at) in placed {
            self.set_entry(*index, u32::try_from(at / SECTOR_LEN).unwrap_or(UNUSED_ENTRY));
        }
        self.write_entries(placed.iter().map(|(index, _)| *index))
    }

    /// Makes the table lead to none of these blocks.
    pub(super) fn drop_blocks(&mut self, indices: impl Iterator<Item = u64>) -> Result<()> {
        let dropped: Vec<_> = indices.filter_map(|index| Some((index, self.block_at(index)?))).collect();
        for (index, at) in &dropped {
            self.set_entry(*index, UNUSED_ENTRY);
            self.freed.push(*at..at + self.grid.stored_len(*index));
        }
        self.shrinks |= !dropped.is_empty();
        self.write_entries(dropped.into_iter().map(|(index, _)| index))
    }

    /// Notes what the table says of block `index`, one of the disk's.
    fn set_entry(&mut self, index: u64, entry: u32) {
        if let Some(known) = usize::try_from(index).ok().and_then(|index| self.table.get_mut(index)) {
            *known = entry;
        }
    }

    /// Writes the entries of blocks, those that lie side by side as one.
    pub(super) fn write_entries(&self, indices: impl Iterator<Item = u64>) -> Result<()> {
        let mut indices: Vec<u64> = indices.collect();
        indices.sort_unstable();
        for run in indices.chunk_by(|one, next| one + 1 == *next) {
            let (Some(first), Some(last)) = (run.first(), run.last()) else { continue };
            let slots = usize::try_from(*first).unwrap_or(usize::MAX)..usize::try_from(last + 1).unwrap_or(usize::MAX);
            let entries = self.table.get(slots).unwrap_or_default();
            let bytes: Vec<u8> = entries.iter().flat_map(|entry| entry.to_be_bytes()).collect();
            let written = self.medium.write_at(&bytes, self.table_at + first * ENTRY_LEN);
            self.footers.halt.on_error(written)?;
        }
        Ok(())
    }
}
