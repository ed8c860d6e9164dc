//! Guest bytes into blocks.

use std::ops::Range;

use imgfmt_core::{Erase, Error, ErrorKind, Result, StorageExt, write_zeros};

use super::blocks::Disk;
use super::place::Space;
use crate::bitmap::{SectorBitmap, set_bits};
use crate::layout::{SECTOR_LEN, bitmap_len};

/// What is put somewhere.
#[derive(Clone, Copy, Debug)]
pub(super) enum Content<'a> {
    /// These bytes.
    Bytes(&'a [u8]),
    /// Zeros, in holes where there is something else.
    Holes,
    /// Zeros that are written.
    Zeros,
    /// Zeros, with new blocks whose space is taken like this.
    New(Space),
}

impl Content<'_> {
    /// Zeros that are erased so.
    pub(super) fn zeros(how: Erase) -> Self {
        if how == Erase::ZeroKeepSpace { Self::Zeros } else { Self::Holes }
    }

    /// What is done about the space of new blocks.
    fn space(self) -> Space {
        if let Self::New(space) = self { space } else { Space::Hole }
    }
}

impl Disk {
    /// Puts `content` at guest `range`, which lies within the disk.
    pub(super) fn put(&mut self, range: Range<u64>, content: Content<'_>) -> Result<()> {
        self.check_edges(&range)?;
        let mut next = range.start;
        while next < range.end {
            // So many blocks at once that flushes do not count, and no more than that.
            let end = (next / self.grid.block_len + BLOCKS_AT_ONCE) * self.grid.block_len;
            let part = next..range.end.min(end);
            let within = |at: u64| usize::try_from(at - range.start).unwrap_or(usize::MAX);
            let content = match content {
                Content::Bytes(bytes) => {
                    Content::Bytes(bytes.get(within(part.start)..within(part.end)).unwrap_or_default())
                }
                other => other,
            };
            self.put_part(&part, content)?;
            next = part.end;
        }
        Ok(())
    }

    /// Puts `content` at a `range` of few blocks.
    fn put_part(&mut self, range: &Range<u64>, content: Content<'_>) -> Result<()> {
        let parts: Vec<_> = self.parts(range.clone()).collect();
        let new: Vec<u64> =
            parts.iter().map(|(index, _)| *index).filter(|index| self.block_at(*index).is_none()).collect();
        let placed = if new.is_empty() { Vec::new() } else { self.place(&new, range, content.space())? };
        for (index, part) in parts {
            let within = part.start - range.start..part.end - range.start;
            let put = match placed.iter().find(|(placed, _)| *placed == index) {
                // What is new reads as zeros already.
                Some((_, at)) if matches!(content, Content::Bytes(_)) => self.fill(*at, &part, content, within),
                Some(_) => Ok(()),
                None => self.put_in_block(index, &part, content, within),
            };
            if let Err(error) = put {
                self.take_back(&placed);
                return Err(error);
            }
        }
        if placed.is_empty() { Ok(()) } else { self.link(&placed) }
    }

    /// Puts the bytes `within` of `content` at guest `part` of block `index`, which is there.
    fn put_in_block(&self, index: u64, part: &Range<u64>, content: Content<'_>, within: Range<u64>) -> Result<()> {
        let Some(at) = self.block_at(index) else { return Ok(()) };
        let block_len = self.grid.block_len;
        let bitmap = SectorBitmap::read(self.medium.as_ref(), at, block_len, self.footers.end)?;
        let start = index * block_len;
        let sectors = (part.start - start) / SECTOR_LEN..(part.end - start).div_ceil(SECTOR_LEN);
        let mut all_stored = true;
        let mut next = sectors.start;
        while next < sectors.end {
            let (stored, end) = bitmap.run(next, sectors.end);
            if !stored {
                // The other bytes of sectors that are written in part: zero, here.
                all_stored = false;
                self.medium.clear(self.data_at(at) + next * SECTOR_LEN..self.data_at(at) + end * SECTOR_LEN)?;
            }
            next = end;
        }
        self.fill(at, part, content, within)?;
        if all_stored { Ok(()) } else { self.store_sectors(at, sectors) }
    }

    /// Writes the bytes `within` of `content` to guest `part` of a block at `at`.
    fn fill(&self, at: u64, part: &Range<u64>, content: Content<'_>, within: Range<u64>) -> Result<()> {
        let host = self.data_at(at) + part.start % self.grid.block_len;
        let end = host + (part.end - part.start);
        match content {
            Content::Bytes(bytes) => {
                let index = |at| usize::try_from(at).unwrap_or(usize::MAX);
                let bytes = bytes.get(index(within.start)..index(within.end)).unwrap_or_default();
                self.medium.write_at(bytes, host)
            }
            Content::Zeros | Content::New(Space::Zeros) => write_zeros(self.medium.as_ref(), host..end),
            Content::Holes | Content::New(_) => self.medium.clear(host..end),
        }
    }

    /// Says that `sectors` of a block at `at` are stored, once they are on the medium.
    fn store_sectors(&self, at: u64, sectors: Range<u64>) -> Result<()> {
        let len = bitmap_len(self.grid.block_len);
        let mut bitmap = self.medium.read_vec(at, usize::try_from(len).unwrap_or(usize::MAX))?;
        set_bits(&mut bitmap, sectors.start, sectors.end);
        self.medium.sync()?;
        let (first, end) = (sectors.start / 8, sectors.end.div_ceil(8));
        let index = |at| usize::try_from(at).unwrap_or(usize::MAX);
        self.medium.write_at(bitmap.get(index(first)..index(end)).unwrap_or_default(), at + first)
    }

    /// Checks that sectors which `range` has in part are here, or that no parent has them.
    fn check_edges(&self, range: &Range<u64>) -> Result<()> {
        if !self.has_parent || range.is_empty() {
            return Ok(());
        }
        for edge in [range.start, range.end] {
            if !edge.is_multiple_of(SECTOR_LEN) && edge != self.grid.size && !self.is_stored(edge)? {
                let what = "the rest of a sector that would be written is the parent's: whole sectors can be written";
                return Err(Error::new(ErrorKind::Missing, what).at(edge));
            }
        }
        Ok(())
    }

    /// Whether the sector of guest byte `guest` is stored.
    fn is_stored(&self, guest: u64) -> Result<bool> {
        let Some(at) = self.block_at(guest / self.grid.block_len) else { return Ok(false) };
        let bitmap = SectorBitmap::read(self.medium.as_ref(), at, self.grid.block_len, self.footers.end)?;
        let sector = guest % self.grid.block_len / SECTOR_LEN;
        Ok(bitmap.run(sector, sector + 1).0)
    }
}

/// Blocks that are placed and flushed together, at most.
const BLOCKS_AT_ONCE: u64 = 64;
