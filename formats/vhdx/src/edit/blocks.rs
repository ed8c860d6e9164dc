//! Guest bytes into blocks.

use std::ops::Range;

use imgfmt_core::{Error, ErrorKind, Result, write_zeros};

use super::state::State;
use crate::layout::state as entry_state;
use crate::map::Block;

/// What becomes of guest bytes.
#[derive(Clone, Copy)]
pub(super) enum Content<'a> {
    /// These bytes.
    Bytes(&'a [u8]),
    /// Zeros, for which space may be given back.
    Zeros,
    /// Zeros, for which space is kept.
    StoredZeros,
}

impl Content<'_> {
    /// The part of it from byte `start` to byte `end`.
    fn part(&self, start: u64, end: u64) -> Self {
        match *self {
            Self::Bytes(bytes) => Self::Bytes(&bytes[in_memory(start)..in_memory(end)]),
            zeros => zeros,
        }
    }
}

impl State {
    /// Makes the guest bytes of `range` what `content` says.
    ///
    /// # Errors
    ///
    /// As [`ImageEditor::write_at`](imgfmt_core::ImageEditor::write_at).
    pub(super) fn write(&mut self, range: Range<u64>, content: Content<'_>) -> Result<()> {
        self.check_range(&range)?;
        if range.is_empty() {
            return Ok(());
        }
        self.begin()?;
        for (block, within) in self.blocks_of(&range) {
            let start = block * self.geometry.block_len + within.start - range.start;
            let part = content.part(start, start + (within.end - within.start));
            self.write_block(block, within, part)?;
        }
        Ok(())
    }

    /// Refuses what is not within the disk.
    pub(super) fn check_range(&self, range: &Range<u64>) -> Result<()> {
        if range.end <= self.geometry.size && range.start <= range.end {
            return Ok(());
        }
        let what = format!("guest bytes {range:?} are not within a disk of {} bytes", self.geometry.size);
        Err(Error::out_of_bounds(what))
    }

    /// The blocks of `range`, and which of their bytes it has.
    pub(super) fn blocks_of(&self, range: &Range<u64>) -> impl Iterator<Item = (u64, Range<u64>)> + use<> {
        let (len, range) = (self.geometry.block_len, range.clone());
        (range.start / len..range.end.div_ceil(len)).map(move |block| {
            let start = block * len;
            (block, range.start.max(start) - start..range.end.min(start + len) - start)
        })
    }

    /// Whether `within` is all that the disk has of a block.
    pub(super) fn is_whole(&self, block: u64, within: &Range<u64>) -> bool {
        let len = self.geometry.block_len.min(self.geometry.size - block * self.geometry.block_len);
        *within == (0..len)
    }

    /// Makes bytes of a block what `content` says, and stores them.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
    pub(super) fn write_block(&mut self, block: u64, within: Range<u64>, content: Content<'_>) -> Result<()> {
        self.make_room()?;
        let index = self.geometry.payload_index(block);
        match Block::decode(self.entry(index)?)? {
            Block::Full(host) => self.put(host + within.start, &within, content),
            Block::Partial(host) if self.is_whole(block, &within) => {
                self.put(host + within.start, &within, content)?;
                self.set_entry(index, host | entry_state::FULLY_PRESENT)
            }
            Block::Partial(host) => {
                self.check_sectors(block, &within)?;
                self.put(host + within.start, &within, content)?;
                self.mark(block, &within)
            }
            Block::Absent if self.geometry.differencing && !self.is_whole(block, &within) => {
                self.check_alignment(&within)?;
                self.unmark(block)?;
                self.add_block(&within, content, |state, host| {
                    state.mark(block, &within)?;
                    state.set_entry(index, host | entry_state::PARTIALLY_PRESENT)
                })
            }
            Block::Absent | Block::Zero => self
                .add_block(&within, content, |state, host| state.set_entry(index, host | entry_state::FULLY_PRESENT)),
        }
    }

    /// Stores `content` for the bytes `within` a block in a new place, which `enter` enters.
    fn add_block(
        &mut self,
        within: &Range<u64>,
        content: Content<'_>,
        enter: impl FnOnce(&mut Self, u64) -> Result<()>,
    ) -> Result<()> {
        let host = self.allocate_block()?;
        let put = self.put(host + within.start, within, content);
        let outcome = put.and_then(|()| enter(self, host));
        if outcome.is_err() {
            self.abandon(host..host + self.geometry.block_len);
        }
        outcome
    }

    /// Writes `content` for the bytes `within` a block, from `host` on.
    fn put(&mut self, host: u64, within: &Range<u64>, content: Content<'_>) -> Result<()> {
        let len = within.end - within.start;
        match content {
            Content::Bytes(bytes) => self.medium.write_at(bytes, host),
            // The last block may end with the disk.
            Content::Zeros => self.medium.clear(host..(host + len).min(self.medium.len()).max(host)),
            Content::StoredZeros => write_zeros(self.medium.as_ref(), host..host + len),
        }
    }

    /// Refuses sectors of a block in part where the rest of them is the parent's.
    fn check_alignment(&self, within: &Range<u64>) -> Result<()> {
        let sector_len = self.geometry.sector_len;
        match within.start.is_multiple_of(sector_len) && within.end.is_multiple_of(sector_len) {
            true => Ok(()),
            false => Err(others_are_parents()),
        }
    }
}

/// The error for a sector of which a part is not here.
pub(super) fn others_are_parents() -> Error {
    Error::new(ErrorKind::Missing, "a sector is written in part, and the rest of it is the parent's")
}

/// Converts a length that is bounded by a buffer in memory.
#[expect(clippy::cast_possible_truncation, reason = "the value is within a buffer in memory")]
fn in_memory(len: u64) -> usize {
    len as usize
}
