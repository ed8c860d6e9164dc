//! Disks in blocks that become larger, or smaller.

use std::ops::Range;

use imgfmt_core::{Error, Preallocation, Result, StorageExt};

use super::blocks::Disk;
use super::check_size;
use super::place::Space;
use super::put::Content;
use crate::layout::{ENTRY_LEN, SECTOR_LEN, UNUSED_ENTRY};
use crate::space::{self, Grid};

impl Disk {
    /// Makes the disk `size` bytes large.
    pub(super) fn resize(&mut self, size: u64, preallocation: Preallocation) -> Result<()> {
        check_size(self.grid.size, size, preallocation)?;
        if size > self.grid.size {
            return self.grow(size, preallocation);
        }
        let old = self.grid;
        self.switch_size(size)?;
        // The table counts up to the size, so what it says of the rest does no harm, whether it is written or not.
        let blocks = Grid { size, ..old }.blocks();
        let dropped = self.drop_blocks(blocks..old.blocks());
        self.grid.size = size;
        self.table.truncate(usize::try_from(blocks).unwrap_or(usize::MAX));
        dropped
    }

    /// Makes the disk larger.
    fn grow(&mut self, size: u64, preallocation: Preallocation) -> Result<()> {
        let old = self.grid;
        let blocks = Grid { size, ..old }.blocks();
        if self.has_parent && !old.size.is_multiple_of(SECTOR_LEN) {
            let what = "the last sector of the disk is not whole, so what the parent has behind it would show";
            return Err(Error::unsupported(what));
        }
        self.make_room(u32::try_from(blocks).map_err(|_| Error::invalid("the disk would have too many blocks"))?)?;
        self.complete_last()?;
        self.table.resize(usize::try_from(blocks).unwrap_or(usize::MAX), UNUSED_ENTRY);
        self.grid.size = size;
        let grown = self.fill_new(old.size..size, preallocation).and_then(|()| self.switch_size(size));
        if grown.is_err() {
            self.grid = old;
            self.table.truncate(usize::try_from(old.blocks()).unwrap_or(usize::MAX));
        }
        grown
    }

    /// Makes guest bytes zero that come to the disk, whatever was there in the last block, or in a parent.
    fn fill_new(&mut self, range: Range<u64>, preallocation: Preallocation) -> Result<()> {
        let space = match preallocation {
            Preallocation::Off | Preallocation::Metadata => Space::Hole,
            Preallocation::Falloc => Space::Reserved,
            Preallocation::Full => Space::Zeros,
        };
        if self.has_parent || preallocation != Preallocation::Off {
            return self.put(range, Content::New(space));
        }
        let index = range.start / self.grid.block_len;
        let Some(at) = self.block_at(index) else { return Ok(()) };
        let host = self.data_at(at) + range.start % self.grid.block_len;
        self.medium.clear(host..self.data_at(at) + self.grid.block_len)
    }

    /// Makes the footers say that the disk has `size` bytes.
    fn switch_size(&mut self, size: u64) -> Result<()> {
        let bytes = self.footers.bytes.with_size(size);
        self.footers.switch(self.medium.as_ref(), bytes)
    }

    /// Moves the last block to where it has room up to its end, unless it has that.
    fn complete_last(&mut self) -> Result<()> {
        let Some(index) = self.grid.blocks().checked_sub(1) else { return Ok(()) };
        let Some(at) = self.block_at(index) else { return Ok(()) };
        let (len, stride) = (self.grid.stored_len(index), self.grid.stride());
        let gaps = space::gaps(&self.structures()?, &self.table, self.grid, self.footers.end);
        let room = gaps.iter().find(|gap| gap.start == at + len).map_or(0, |gap| gap.end - gap.start);
        if len + room >= stride {
            // What has been free there is so no more.
            self.free.retain(|free| free + stride <= at || at + stride <= *free);
            return Ok(());
        }
        let start = index * self.grid.block_len;
        let placed = self.place(&[index], &(start..start), Space::Hole)?;
        for (_, to) in &placed {
            let mut done = 0;
            while done < len {
                let part = usize::try_from(len - done).unwrap_or(COPY_LEN).min(COPY_LEN);
                let bytes = self.medium.read_vec(at + done, part);
                if let Err(error) = bytes.and_then(|bytes| self.medium.write_at(&bytes, to + done)) {
                    self.take_back(&placed);
                    return Err(error);
                }
                done += part as u64;
            }
        }
        self.link(&placed)?;
        self.freed.push(at..at + len);
        self.shrinks = true;
        Ok(())
    }

    /// Gives the table room for `blocks` entries, and says that those behind the disk are of no block.
    fn make_room(&mut self, blocks: u32) -> Result<()> {
        let old = self.grid.blocks();
        let unused = |from: u64, to: u64| vec![0xff; usize::try_from((to - from) * ENTRY_LEN).unwrap_or(usize::MAX)];
        let end = self.table_at + u64::from(self.max_entries) * ENTRY_LEN;
        let new_end = self.table_at + u64::from(blocks) * ENTRY_LEN;
        let fits = blocks <= self.max_entries || (new_end <= end.next_multiple_of(SECTOR_LEN) && self.is_free(end)?);
        if fits {
            self.medium.write_at(&unused(old, u64::from(blocks)), self.table_at + old * ENTRY_LEN)?;
            self.medium.sync()?;
            return if blocks <= self.max_entries { Ok(()) } else { self.switch_table(self.table_at, blocks) };
        }
        let at = self.footers.end.next_multiple_of(SECTOR_LEN);
        let mut bytes: Vec<u8> = self.table.iter().flat_map(|entry| entry.to_be_bytes()).collect();
        bytes.resize(unused(0, u64::from(blocks)).len().next_multiple_of(SECTOR_LEN as usize), 0xff);
        self.append_until(at + bytes.len() as u64)?;
        self.medium.write_at(&bytes, at)?;
        self.medium.sync()?;
        let old_table = self.table_at..end;
        self.switch_table(at, blocks)?;
        self.freed.push(old_table);
        self.shrinks = true;
        Ok(())
    }

    /// Whether nothing lies between byte `at` and the next sector.
    fn is_free(&self, at: u64) -> Result<bool> {
        let gaps = space::gaps(&self.structures()?, &self.table, self.grid, self.footers.end);
        let end = at.next_multiple_of(SECTOR_LEN);
        Ok(at == end || gaps.iter().any(|gap| gap.start <= at && end <= gap.end))
    }

    /// Makes the header lead to a table at byte `at`, which is on the medium.
    fn switch_table(&mut self, at: u64, entries: u32) -> Result<()> {
        self.header = self.header.with_table(at, entries);
        let written = self.medium.write_at(self.header.first_sector(), self.header_at);
        self.footers.halt.on_error(written)?;
        self.medium.sync()?;
        (self.table_at, self.max_entries) = (at, entries);
        Ok(())
    }
}

/// Bytes that are copied at once.
const COPY_LEN: usize = 1 << 20;
