//! Room for more entries.

use imgfmt_core::{Error, Result};

use super::Disk;
use crate::entries;
use crate::header::Header;
use crate::layout::{ENTRY_LEN, ZERO};

impl Disk {
    /// Gives the map room for `blocks` entries.
    ///
    /// The map lies in front of the first block. Where there is no room left, the first blocks move away, a new map is
    /// written in their place, which counts blocks from behind it, and the header leads to it in one step.
    pub(crate) fn make_room(&mut self, blocks: u64) -> Result<()> {
        if self.header.map_offset + blocks * ENTRY_LEN <= self.header.data_offset {
            return Ok(());
        }
        let (at, stride) = (self.header.data_offset, self.header.stride());
        let taken = (blocks * ENTRY_LEN).div_ceil(stride);
        let data_offset = self.header.block_at(taken);
        if u32::try_from(data_offset).is_err() {
            return Err(Error::invalid(
                "the map of a disk of this size would pass 4 GiB, beyond which no block can begin",
            ));
        }
        self.vacate(taken)?;
        if self.storage().len() < data_offset {
            self.medium.set_len(data_offset)?;
        }
        self.medium.clear(at..data_offset)?;
        self.write_map(at, blocks, taken)?;
        self.medium.sync()?;
        let next = self.next.max(taken) - taken;
        let allocated = u32::try_from(next).unwrap_or(u32::MAX);
        self.write_header(Header { map_offset: at, data_offset, allocated, ..self.header.clone() })?;
        self.next = next;
        self.used = self.used.without_first(taken);
        self.free = self.free.iter().filter_map(|number| number.checked_sub(taken)).collect();
        self.medium.sync()
    }

    /// Moves away the first `count` blocks of the file, and puts all that onto the medium.
    fn vacate(&mut self, count: u64) -> Result<()> {
        self.flush()?;
        self.next = self.next.max(count);
        self.free.retain(|number| *number >= count);
        for part in entries::parts(0..u64::from(self.header.blocks)) {
            let found: Vec<_> =
                (part.start..).zip(self.entries(&part)?).filter(|(_, entry)| u64::from(*entry) < count).collect();
            let places = self.place(found.len())?;
            let moves: Vec<_> =
                found.into_iter().zip(places).map(|((index, from), to)| (index, u64::from(from), to)).collect();
            self.move_blocks(&moves)?;
        }
        self.medium.sync()
    }

    /// Writes a map of `blocks` entries at byte `at`, for blocks that are counted from block `taken` of the file on.
    fn write_map(&self, at: u64, blocks: u64, taken: u64) -> Result<()> {
        let known = u64::from(self.header.blocks);
        for part in entries::parts(0..blocks) {
            let mut values =
                if part.start < known { self.entries(&(part.start..part.end.min(known)))? } else { Vec::new() };
            for value in values.iter_mut().filter(|value| **value < ZERO) {
                *value -= u32::try_from(taken).unwrap_or(0);
            }
            values.resize(usize::try_from(part.end - part.start).unwrap_or(usize::MAX), self.header.blank());
            entries::write(self.medium.as_ref(), at + part.start * ENTRY_LEN, &values)?;
        }
        Ok(())
    }
}
