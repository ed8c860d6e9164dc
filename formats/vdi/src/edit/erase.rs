//! Bytes that become zero, or the parent's.

use std::ops::Range;

use imgfmt_core::{Erase, Error, Result, write_zeros};

use crate::disk::Disk;
use crate::entries;
use crate::header::ImageType;
use crate::layout::{FREE, ZERO};

impl Disk {
    /// Makes the bytes of `range` read as `how` says.
    pub(super) fn erase(&mut self, range: &Range<u64>, how: Erase) -> Result<()> {
        self.check_bounds(range)?;
        if how == Erase::Absent {
            if let Some((_, part)) = self.parts(range).find(|(index, part)| !self.is_whole(*index, part)) {
                let what = format!("bytes {part:?} are no whole block, and only whole blocks can be absent");
                return Err(Error::invalid(what));
            }
        } else {
            self.check_edges(range)?;
        }
        self.mark()?;
        let block_len = self.header.block_len;
        for blocks in entries::parts(self.blocks_of(range)) {
            let part = range.start.max(blocks.start * block_len)..range.end.min(blocks.end.saturating_mul(block_len));
            self.erase_part(&blocks, &part, how)?;
        }
        Ok(())
    }

    /// The same of a `range` that touches these blocks.
    fn erase_part(&mut self, blocks: &Range<u64>, range: &Range<u64>, how: Erase) -> Result<()> {
        let (mut changes, mut dropped) = (Vec::new(), Vec::new());
        for ((index, part), entry) in self.parts(range).zip(self.entries(blocks)?) {
            let new = self.entry_after(index, &part, entry, how);
            if new != entry {
                changes.push((index, new));
                dropped.extend((entry < ZERO).then_some(u64::from(entry)));
            } else if entry < ZERO {
                let host = self.host_of(u64::from(entry), &part);
                match how {
                    Erase::ZeroKeepSpace => write_zeros(self.medium.as_ref(), host)?,
                    Erase::Zero | Erase::Absent => self.clear(host)?,
                }
            }
        }
        self.set_entries(&changes)?;
        self.give_up(dropped);
        Ok(())
    }

    /// What the entry of block `index` says once guest `part` of it is erased. A fixed image keeps all its blocks.
    fn entry_after(&self, index: u64, part: &Range<u64>, entry: u32, how: Erase) -> u32 {
        let kind = self.header.kind;
        let is_whole = self.is_whole(index, part);
        match how {
            Erase::Absent if kind != ImageType::Fixed && (entry < ZERO || kind == ImageType::Differencing) => FREE,
            Erase::Zero if entry < ZERO && is_whole && kind != ImageType::Fixed => self.header.blank(),
            Erase::Zero | Erase::ZeroKeepSpace if entry == FREE && is_whole => self.header.blank(),
            _ => entry,
        }
    }
}
