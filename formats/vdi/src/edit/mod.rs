//! Editing in place.
//!
//! Sectors that are stored are written where they are. A new block is put where nothing is in use and flushed before its
//! entry leads to it. All that the header says changes in one write of its sector.

mod erase;
mod put;
mod resize;

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use imgfmt_core::{Edit, Erase, Error, Image, ImageEditor, Medium, OpenContext, Preallocation, Result};

use crate::disk::Disk;
use crate::{NAME, Vdi, open};
use put::Content;

impl Edit for Vdi {
    fn edit<'a>(&self, medium: Arc<dyn Medium>, context: &OpenContext<'a>) -> Result<Box<dyn ImageEditor + 'a>> {
        let start = || {
            open::open(Arc::clone(&medium) as _, context)?;
            Disk::whole(Arc::clone(&medium), context.limits)
        };
        let disk = Mutex::new(start().map_err(|e| e.in_format(NAME))?);
        Ok(Box::new(VdiEditor { medium, context: *context, disk }))
    }
}

/// An image that is edited.
struct VdiEditor<'a> {
    /// The file.
    medium: Arc<dyn Medium>,
    /// How it was opened.
    context: OpenContext<'a>,
    /// The disk.
    disk: Mutex<Disk>,
}

impl VdiEditor<'_> {
    /// The disk: what it leads to is whole at any time, so a thread that panicked elsewhere does no harm.
    fn lock(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Disk {
    /// The parts of guest `range` by blocks.
    fn parts(&self, range: &Range<u64>) -> impl Iterator<Item = (u64, Range<u64>)> + use<> {
        let (range, block_len) = (range.clone(), self.header.block_len);
        self.blocks_of(&range).map(move |index| {
            let start = index * block_len;
            (index, range.start.max(start)..range.end.min(start + block_len))
        })
    }

    /// The blocks that guest `range` touches.
    fn blocks_of(&self, range: &Range<u64>) -> Range<u64> {
        let block_len = self.header.block_len;
        if range.is_empty() { 0..0 } else { range.start / block_len..range.end.div_ceil(block_len) }
    }

    /// Whether guest `part` is all that the disk has of block `index`.
    fn is_whole(&self, index: u64, part: &Range<u64>) -> bool {
        let start = index * self.header.block_len;
        part.start == start && part.end - part.start == self.header.stored_len(index)
    }

    /// Checks that guest `range` lies within the disk.
    fn check_bounds(&self, range: &Range<u64>) -> Result<()> {
        let size = self.header.disk_size;
        if range.start <= range.end && range.end <= size {
            return Ok(());
        }
        Err(Error::out_of_bounds(format!("bytes {range:?} are meant, but the disk has {size}")).at(range.start))
    }
}

impl ImageEditor for VdiEditor<'_> {
    fn image(&self) -> Result<Box<dyn Image>> {
        let _unchanged = self.lock();
        Ok(open::open(Arc::clone(&self.medium) as _, &self.context).map_err(|e| e.in_format(NAME))?.image)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        let mut disk = self.lock();
        let range = offset..offset.saturating_add(bytes.len() as u64);
        let written = disk.check_bounds(&range).and_then(|()| disk.put(&range, Content::Bytes(bytes)));
        written.map_err(|e| e.in_format(NAME))
    }

    fn erase(&self, range: Range<u64>, how: Erase) -> Result<()> {
        self.lock().erase(&range, how).map_err(|e| e.in_format(NAME))
    }

    fn resize(&self, size: u64, preallocation: Preallocation) -> Result<()> {
        self.lock().resize(size, preallocation).map_err(|e| e.in_format(NAME))
    }

    fn flush(&self) -> Result<()> {
        self.lock().flush().map_err(|e| e.in_format(NAME))
    }

    fn close(self: Box<Self>) -> Result<()> {
        self.lock().close().map_err(|e| e.in_format(NAME))
    }
}
