//! Disks that become larger, or smaller.

use std::ops::Range;

use imgfmt_core::{Error, Preallocation, Result};

use super::put::Content;
use crate::disk::{Disk, Space};
use crate::entries;
use crate::header::{Header, ImageType};
use crate::layout::{FREE, MAX_BLOCKS, SECTOR_LEN, ZERO};

impl Disk {
    /// Makes the disk `size` bytes large.
    pub(super) fn resize(&mut self, size: u64, preallocation: Preallocation) -> Result<()> {
        if !size.is_multiple_of(SECTOR_LEN) {
            return Err(Error::invalid(format!("a VDI has whole sectors of {SECTOR_LEN} bytes, and {size} are none")));
        }
        let blocks = size.div_ceil(self.header.block_len);
        let known = u32::try_from(blocks).ok().filter(|_| blocks <= MAX_BLOCKS);
        let what = || format!("a disk of {size} bytes has {blocks} blocks, and a VDI {MAX_BLOCKS} at most");
        let blocks = known.ok_or_else(|| Error::invalid(what()))?;
        if size < self.header.disk_size && preallocation != Preallocation::Off {
            return Err(Error::invalid("preallocation is for disks that grow"));
        }
        self.mark()?;
        if size > self.header.disk_size { self.grow(size, blocks, preallocation) } else { self.shrink(size, blocks) }
    }

    /// Makes the disk larger. What comes to it is zero before the header says that it is there.
    fn grow(&mut self, size: u64, blocks: u32, preallocation: Preallocation) -> Result<()> {
        let old = self.header.disk_size..size;
        self.clear_tail()?;
        let first = self.header.disk_blocks();
        self.forget(first..u64::from(self.header.blocks).max(first))?;
        self.make_room(u64::from(blocks))?;
        for part in entries::parts(first..u64::from(blocks).max(first)) {
            let blank: Vec<_> = part.map(|index| (index, self.header.blank())).collect();
            self.set_entries(&blank)?;
        }
        self.medium.sync()?;
        self.write_header(Header { disk_size: size, blocks, ..self.header.clone() })?;
        self.medium.sync()?;
        let space = match preallocation {
            Preallocation::Off if self.header.kind != ImageType::Fixed => return Ok(()),
            Preallocation::Off | Preallocation::Metadata => Space::Hole,
            Preallocation::Falloc => Space::Reserved,
            Preallocation::Full => Space::Zeros,
        };
        self.put(&old, Content::Zeros(space))
    }

    /// Makes the disk smaller. What lies behind its end is in no use once the header says so.
    fn shrink(&mut self, size: u64, blocks: u32) -> Result<()> {
        let behind = u64::from(blocks)..u64::from(self.header.blocks);
        let mut dropped = Vec::new();
        entries::each_stored(self.storage(), &self.header, behind, &mut |_, number| {
            dropped.push(number);
            Ok(())
        })?;
        self.medium.sync()?;
        self.write_header(Header { disk_size: size, blocks, ..self.header.clone() })?;
        self.medium.sync()?;
        self.give_up(dropped);
        Ok(())
    }

    /// Makes zero what lies behind the end of the disk in its last block, which the file has to have as a whole.
    fn clear_tail(&mut self) -> Result<()> {
        let (size, block_len) = (self.header.disk_size, self.header.block_len);
        let index = size / block_len;
        let part = size..(index + 1) * block_len;
        if part.start % block_len == 0 {
            return Ok(());
        }
        match self.entries(&(index..index + 1))?[..] {
            [entry] if entry < ZERO => {
                let host = self.host_of(u64::from(entry), &part);
                if self.storage().len() < host.end {
                    self.medium.set_len(host.end)?;
                }
                self.medium.clear(host)
            }
            [FREE] if self.header.kind == ImageType::Differencing => {
                let what = "the last block of the disk is the parent's, so what the parent has behind it would show";
                Err(Error::unsupported(what))
            }
            _ => Ok(()),
        }
    }

    /// Gives up the blocks that these entries name, which are of no block of the disk.
    fn forget(&mut self, range: Range<u64>) -> Result<()> {
        let (mut changes, mut dropped) = (Vec::new(), Vec::new());
        entries::each_stored(self.storage(), &self.header, range, &mut |index, number| {
            changes.push((index, FREE));
            dropped.push(number);
            Ok(())
        })?;
        self.set_entries(&changes)?;
        self.give_up(dropped);
        Ok(())
    }
}
