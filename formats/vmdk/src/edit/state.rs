//! An image that is being edited: its files, its extents, its descriptor.

use std::ops::Range;
use std::sync::Arc;

use imgfmt_core::{Description, Error, Halt, Limits, Medium, Result, Storage};

use super::grains::Grains;
use crate::descriptor::{DescriptorText, Patch};

/// All of it.
pub(super) struct State {
    /// The files that guest bytes are in, as sources count them.
    pub(super) media: Vec<Arc<dyn Medium>>,
    /// Stops all that would build on a header or a descriptor which may be there or not.
    pub(super) halt: Halt,
    /// The extents, one behind the other.
    pub(super) parts: Vec<Part>,
    /// Guest bytes.
    pub(super) size: u64,
    /// Whether what is not stored is the parent's.
    pub(super) has_parent: bool,
    /// The descriptor, where there is one.
    pub(super) text: Option<Text>,
    /// Whether the disk has a new content identity already.
    pub(super) renewed: bool,
    /// What was said about the image when it was opened.
    pub(super) description: Description,
    /// What the image may ask for.
    pub(super) limits: Limits,
}

/// The descriptor, where it lies.
pub(super) struct Text {
    /// Its file.
    pub(super) medium: Arc<dyn Medium>,
    /// Its bytes.
    pub(super) text: DescriptorText,
    /// The byte of it at which the line of the last extent starts, where there is one.
    pub(super) last_line: Option<u64>,
}

/// One extent.
pub(super) struct Part {
    /// Its first guest byte.
    pub(super) start: u64,
    /// Its guest bytes.
    pub(super) size: u64,
    /// Where they are.
    pub(super) content: Content,
}

/// Where the bytes of an extent are.
pub(super) enum Content {
    /// As they are, from byte `host` on of a file.
    Flat {
        /// The number of the file.
        medium: usize,
        /// The first byte.
        host: u64,
    },
    /// In grains.
    Sparse(Box<Grains>),
}

impl Text {
    /// Writes a change, which is there when this returns.
    pub(super) fn write(&mut self, patch: &Patch) -> Result<()> {
        self.medium.write_at(&patch.bytes, self.text.at + patch.at as u64)?;
        self.medium.sync()?;
        self.text.apply(patch);
        Ok(())
    }
}

impl State {
    /// The files, for readers.
    pub(super) fn sources(&self) -> Vec<Arc<dyn Storage>> {
        self.media.iter().map(|medium| Arc::clone(medium) as Arc<dyn Storage>).collect()
    }

    /// The number of the extent that has guest byte `at`.
    pub(super) fn part_at(&self, at: u64) -> usize {
        self.parts.partition_point(|part| part.start <= at).saturating_sub(1)
    }

    /// Checks that `range` is within the disk.
    pub(super) fn check_range(&self, range: &Range<u64>) -> Result<()> {
        if range.start <= range.end && range.end <= self.size {
            return Ok(());
        }
        let what = format!("guest bytes {}..{} are not within a disk of {} bytes", range.start, range.end, self.size);
        Err(Error::out_of_bounds(what))
    }

    /// Calls `act` with every extent that has a part of `range`, with that part as the extent counts.
    pub(super) fn each_part(
        &mut self,
        range: Range<u64>,
        mut act: impl FnMut(&mut Self, usize, Range<u64>) -> Result<()>,
    ) -> Result<()> {
        let mut next = range.start;
        while next < range.end {
            let number = self.part_at(next);
            let (start, size) = (self.parts[number].start, self.parts[number].size);
            let end = range.end.min(start + size);
            act(self, number, next - start..end - start)?;
            next = end;
        }
        Ok(())
    }

    /// Makes it known on the medium that extent `number` is being changed, before it is.
    pub(super) fn begin(&mut self, number: usize) -> Result<()> {
        self.halt.check()?;
        self.renew_cid()?;
        match &mut self.parts[number].content {
            Content::Sparse(grains) => grains.begin(),
            Content::Flat { .. } => Ok(()),
        }
    }

    /// Puts everything onto the medium.
    pub(super) fn flush(&mut self) -> Result<()> {
        for part in &mut self.parts {
            if let Content::Sparse(grains) = &mut part.content {
                grains.flush()?;
            }
        }
        self.media.iter().try_for_each(|medium| medium.sync())
    }

    /// Puts everything onto the medium, and marks all extents as closed.
    pub(super) fn close(&mut self) -> Result<()> {
        self.flush()?;
        for part in &mut self.parts {
            if let Content::Sparse(grains) = &mut part.content {
                grains.close()?;
            }
        }
        Ok(())
    }
}
