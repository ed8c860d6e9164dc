//! Blocks that are no longer stored.

use std::ops::Range;

use imgfmt_core::{Erase, Error, Result};

use super::blocks::Content;
use super::state::State;
use crate::layout::state as entry_state;
use crate::map::Block;

impl State {
    /// Makes the guest bytes of `range` read as `how` says.
    ///
    /// # Errors
    ///
    /// As [`ImageEditor::erase`](imgfmt_core::ImageEditor::erase).
    pub(super) fn erase(&mut self, range: Range<u64>, how: Erase) -> Result<()> {
        self.check_range(&range)?;
        let len = self.geometry.block_len;
        let ends = range.end.is_multiple_of(len) || range.end == self.geometry.size;
        if how == Erase::Absent && !(range.start.is_multiple_of(len) && ends) {
            return Err(Error::invalid(format!("guest bytes {range:?} are not whole blocks of {len} bytes")));
        }
        if range.is_empty() {
            return Ok(());
        }
        self.begin()?;
        self.blocks_of(&range).try_for_each(|(block, within)| self.erase_block(block, within, how))
    }

    /// Makes bytes of a block read as `how` says. A block of a fixed disk stays where it is, and becomes a
    /// hole of the file unless its space is to be kept.
    ///
    /// # Errors
    ///
    /// As [`erase`](Self::erase).
    pub(super) fn erase_block(&mut self, block: u64, within: Range<u64>, how: Erase) -> Result<()> {
        self.make_room()?;
        let whole = self.is_whole(block, &within);
        let index = self.geometry.payload_index(block);
        let stored = Block::decode(self.entry(index)?)?;
        let idle = match how {
            Erase::Absent => entry_state::NOT_PRESENT,
            Erase::Zero | Erase::ZeroKeepSpace => entry_state::ZERO,
        };
        match stored {
            Block::Zero if idle == entry_state::ZERO => Ok(()),
            Block::Absent if how == Erase::Absent || !self.geometry.differencing => Ok(()),
            Block::Absent | Block::Zero if whole => self.set_entry(index, idle),
            Block::Full(host) | Block::Partial(host) if whole && how != Erase::ZeroKeepSpace && !self.fixed => {
                self.free(host, self.geometry.block_len);
                self.set_entry(index, idle)
            }
            _ if how == Erase::ZeroKeepSpace => self.write_block(block, within, Content::StoredZeros),
            _ => self.write_block(block, within, Content::Zeros),
        }
    }
}
