//! Guest bytes into blocks.

use std::ops::Range;

use imgfmt_core::{Error, ErrorKind, Result, write_zeros};

use crate::disk::{Disk, Space};
use crate::header::ImageType;
use crate::layout::{FREE, ZERO};

/// What is put somewhere.
#[derive(Clone, Copy, Debug)]
pub(super) enum Content<'a> {
    /// These bytes.
    Bytes(&'a [u8]),
    /// Zeros, in blocks whose space is taken like this where they are new.
    Zeros(Space),
}

impl Content<'_> {
    /// What of it lies in `part` of `range`.
    fn within(self, range: &Range<u64>, part: &Range<u64>) -> Self {
        let at = |at: u64| usize::try_from(at - range.start).unwrap_or(usize::MAX);
        match self {
            Content::Bytes(bytes) => Content::Bytes(bytes.get(at(part.start)..at(part.end)).unwrap_or_default()),
            Content::Zeros(space) => Content::Zeros(space),
        }
    }

    /// Blocks that are placed and flushed together: so many that flushes do not count, and no more than that.
    fn blocks_at_once(self) -> u64 {
        if matches!(self, Content::Zeros(Space::Hole | Space::Reserved)) { 1 << 14 } else { 64 }
    }
}

impl Disk {
    /// Puts `content` at guest `range`, which lies within the disk.
    pub(super) fn put(&mut self, range: &Range<u64>, content: Content<'_>) -> Result<()> {
        self.check_edges(range)?;
        self.mark()?;
        let mut next = range.start;
        while next < range.end {
            let end = (next / self.header.block_len).saturating_add(content.blocks_at_once());
            let part = next..range.end.min(end.saturating_mul(self.header.block_len));
            self.put_part(&part, content.within(range, &part))?;
            next = part.end;
        }
        Ok(())
    }

    /// Puts `content` at a `range` of few blocks.
    fn put_part(&mut self, range: &Range<u64>, content: Content<'_>) -> Result<()> {
        let entries = self.entries(&self.blocks_of(range))?;
        let mut new = Vec::new();
        for ((index, part), entry) in self.parts(range).zip(entries) {
            if entry < ZERO {
                self.fill(u64::from(entry), &part, content.within(range, &part))?;
            } else {
                new.push((index, part));
            }
        }
        if new.is_empty() {
            return Ok(());
        }
        let placed = self.place(new.len())?;
        match self.start(&new, &placed, range, content) {
            Ok(()) => {
                let linked: Vec<_> = new.iter().map(|(index, _)| *index).zip(placed).collect();
                self.link(&linked)
            }
            Err(error) => {
                self.take_back(placed);
                Err(error)
            }
        }
    }

    /// Fills the parts of new blocks that have been `placed` and read as zeros.
    fn start(&self, new: &[(u64, Range<u64>)], placed: &[u64], range: &Range<u64>, content: Content<'_>) -> Result<()> {
        for ((_, part), number) in new.iter().zip(placed) {
            let block = self.header.block_at(*number)..self.header.block_at(number + 1);
            match content {
                Content::Bytes(_) => self.fill(*number, part, content.within(range, part))?,
                Content::Zeros(Space::Hole) => {}
                Content::Zeros(Space::Reserved) => self.medium.reserve(block)?,
                Content::Zeros(Space::Zeros) => write_zeros(self.medium.as_ref(), block)?,
            }
        }
        Ok(())
    }

    /// Writes `content`, which is as long as `part`, to guest `part` of block `number` of the file.
    fn fill(&self, number: u64, part: &Range<u64>, content: Content<'_>) -> Result<()> {
        let host = self.host_of(number, part);
        match content {
            Content::Bytes(bytes) => self.medium.write_at(bytes, host.start),
            Content::Zeros(Space::Zeros) => write_zeros(self.medium.as_ref(), host),
            Content::Zeros(Space::Hole | Space::Reserved) => self.clear(host),
        }
    }

    /// Makes host bytes zero, as far as the file has them: the last block may be cut where the disk ends.
    pub(super) fn clear(&self, host: Range<u64>) -> Result<()> {
        let end = host.end.min(self.storage().len());
        if host.start < end { self.medium.clear(host.start..end) } else { Ok(()) }
    }

    /// The host bytes of guest `part` in block `number` of the file.
    pub(super) fn host_of(&self, number: u64, part: &Range<u64>) -> Range<u64> {
        let start = self.data_at(number) + part.start % self.header.block_len;
        start..start + (part.end - part.start)
    }

    /// Checks that blocks which `range` has in part are here, or that no parent has them.
    pub(super) fn check_edges(&self, range: &Range<u64>) -> Result<()> {
        if self.header.kind != ImageType::Differencing || range.is_empty() {
            return Ok(());
        }
        let mut edges = self.parts(range);
        for (index, part) in [edges.next(), edges.last()].into_iter().flatten() {
            if !self.is_whole(index, &part) && self.entries(&(index..index + 1))? == [FREE] {
                let what = "the rest of a block that would be written is the parent's: whole blocks can be written";
                return Err(Error::new(ErrorKind::Missing, what).at(part.start));
            }
        }
        Ok(())
    }
}
