//! Gaps between blocks are closed: other programs take the count of blocks for the place of the next one.

use imgfmt_core::Result;

use super::{Disk, entry_of};
use crate::entries;
use crate::header::Header;
use crate::layout::ZERO;

impl Disk {
    /// Moves the last blocks of the file into the gaps between the others, and ends the file behind what is left.
    ///
    /// Nothing but blocks that are in use may be named, and what nothing names is on the medium as such.
    pub(crate) fn compact(&mut self) -> Result<()> {
        let count = self.used.count();
        let mut behind = 0;
        for part in entries::parts(0..u64::from(self.header.blocks)) {
            let mut moves = Vec::new();
            for (index, entry) in (part.start..).zip(self.entries(&part)?) {
                if entry < ZERO && u64::from(entry) >= count {
                    let Some(hole) = self.used.holes(behind..count).next() else { break };
                    moves.push((index, u64::from(entry), hole));
                    behind = hole + 1;
                }
            }
            self.move_blocks(&moves)?;
        }
        self.medium.sync()?;
        self.write_header(Header { allocated: entry_of(count)?, ..self.header.clone() })?;
        self.medium.sync()?;
        (self.next, self.shrinks) = (count, false);
        self.free.clear();
        let end = self.header.block_at(count);
        if self.storage().len() > end {
            self.medium.set_len(end)?;
            self.medium.sync()?;
        }
        Ok(())
    }

    /// Moves the blocks of these entries, from one place to another that nothing leads to.
    pub(super) fn move_blocks(&mut self, moves: &[(u64, u64, u64)]) -> Result<()> {
        for some in moves.chunks(MOVES_AT_ONCE) {
            self.copy_blocks(some)?;
            for (_, from, _) in some {
                self.used.remove(*from);
            }
        }
        Ok(())
    }

    /// Copies the blocks of these entries, in the order of the map, from one place to another that nothing leads to.
    pub(crate) fn copy_blocks(&mut self, copies: &[(u64, u64, u64)]) -> Result<()> {
        for (_, from, to) in copies {
            self.copy(*from, *to)?;
            self.used.insert(*to);
        }
        let placed: Vec<_> = copies.iter().map(|(index, _, to)| (*index, *to)).collect();
        self.link(&placed)
    }
}

/// Blocks that are moved before the entries of all are written.
const MOVES_AT_ONCE: usize = 64;
