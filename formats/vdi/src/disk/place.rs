//! Where new blocks go, and how blocks move.

use imgfmt_core::{Result, StorageExt};

use super::{Disk, entry_of};
use crate::header::Header;

/// What is done about the space of a new block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Space {
    /// Nothing: it is a hole.
    Hole,
    /// The file system takes it.
    Reserved,
    /// Zeros are written.
    Zeros,
}

impl Disk {
    /// Places for `count` blocks, which read as zeros. Nothing leads there yet.
    pub(crate) fn place(&mut self, count: usize) -> Result<Vec<u64>> {
        let mut placed = self.free.split_off(self.free.len().saturating_sub(count));
        let more = (count - placed.len()) as u64;
        placed.extend(self.next..self.next + more);
        if let Err(error) = self.make_zero(&placed) {
            placed.retain(|number| *number < self.next);
            self.free.append(&mut placed);
            return Err(error);
        }
        self.next += more;
        for number in &placed {
            self.used.insert(*number);
        }
        Ok(placed)
    }

    /// Makes blocks read as zeros that nothing leads to, and the file long enough for them.
    fn make_zero(&self, numbers: &[u64]) -> Result<()> {
        let old_len = self.storage().len();
        let Some(last) = numbers.iter().max() else { return Ok(()) };
        entry_of(*last)?;
        let end = self.header.block_at(last + 1);
        for number in numbers {
            let (start, end) = (self.header.block_at(*number), self.header.block_at(number + 1).min(old_len));
            if start < end {
                self.medium.clear(start..end)?;
            }
        }
        if end > old_len { self.medium.set_len(end) } else { Ok(()) }
    }

    /// Lets the places go that were given and that nothing leads to.
    pub(crate) fn take_back(&mut self, placed: Vec<u64>) {
        for number in &placed {
            self.used.remove(*number);
        }
        self.free.extend(placed);
        self.shrinks = true;
    }

    /// Makes entries, in the order of the map, lead to blocks that have been placed, once what they hold is on the medium,
    /// and so is the count of blocks.
    pub(crate) fn link(&mut self, placed: &[(u64, u64)]) -> Result<()> {
        let count = u32::try_from(self.next).unwrap_or(u32::MAX);
        if self.header.allocated < count {
            self.write_header(Header { allocated: count, ..self.header.clone() })?;
        }
        self.medium.sync()?;
        let changes: Result<Vec<_>> = placed.iter().map(|(index, number)| Ok((*index, entry_of(*number)?))).collect();
        self.set_entries(&changes?)
    }

    /// Copies block `from` of the file to block `to`, to which nothing leads. What the file lacks of a block is zero.
    pub(super) fn copy(&self, from: u64, to: u64) -> Result<()> {
        let (start, target) = (self.header.block_at(from), self.header.block_at(to));
        let there = self.storage().len().saturating_sub(start).min(self.header.stride());
        let mut done = 0;
        while done < self.header.stride() {
            let len = if done < there { COPY_LEN.min(there - done) } else { self.header.stride() - done };
            let bytes = match usize::try_from(len) {
                Ok(len) if done < there => self.storage().read_vec(start + done, len)?,
                _ => Vec::new(),
            };
            if bytes.iter().all(|byte| *byte == 0) {
                self.medium.clear(target + done..target + done + len)?;
            } else {
                self.medium.write_at(&bytes, target + done)?;
            }
            done += len;
        }
        Ok(())
    }
}

/// Bytes that are copied at once.
const COPY_LEN: u64 = 1 << 20;
