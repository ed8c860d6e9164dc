//! Editing in place.
//!
//! Sectors that are stored are written where they are. A new cluster is put where nothing is and flushed before its entry
//! leads to it. All that the header says changes in one write of its sector.

mod erase;
mod put;
mod resize;

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use imgfmt_core::{Edit, Erase, Error, Image, ImageEditor, Medium, OpenContext, Preallocation, Result};

use crate::disk::Disk;
use crate::{NAME, Parallels, open};
use put::Content;

impl Edit for Parallels {
    fn edit<'a>(&self, medium: Arc<dyn Medium>, context: &OpenContext<'a>) -> Result<Box<dyn ImageEditor + 'a>> {
        let disk = Disk::open(Arc::clone(&medium), context).map_err(|e| e.in_format(NAME))?;
        Ok(Box::new(ParallelsEditor { medium, context: *context, disk: Mutex::new(disk) }))
    }
}

/// An image that is edited.
struct ParallelsEditor<'a> {
    /// The file.
    medium: Arc<dyn Medium>,
    /// How it was opened.
    context: OpenContext<'a>,
    /// The disk.
    disk: Mutex<Disk>,
}

impl ParallelsEditor<'_> {
    /// The disk: what it leads to is whole at any time, so a thread that panicked elsewhere does no harm.
    fn lock(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Disk {
    /// The parts of guest `range` by clusters.
    fn parts(&self, range: &Range<u64>) -> impl Iterator<Item = (u64, Range<u64>)> + use<> {
        let (range, cluster_len) = (range.clone(), self.header.cluster_len());
        self.clusters_of(&range).map(move |index| {
            let start = index * cluster_len;
            (index, range.start.max(start)..range.end.min(start + cluster_len))
        })
    }

    /// The clusters that guest `range` touches.
    fn clusters_of(&self, range: &Range<u64>) -> Range<u64> {
        let cluster_len = self.header.cluster_len();
        if range.is_empty() { 0..0 } else { range.start / cluster_len..range.end.div_ceil(cluster_len) }
    }

    /// Whether guest `part` is all that the disk has of cluster `index`.
    fn is_whole(&self, index: u64, part: &Range<u64>) -> bool {
        part.end - part.start == self.header.stored_len(index)
    }

    /// The host bytes of guest `part` in the cluster at byte `host`.
    fn host_of(&self, host: u64, part: &Range<u64>) -> Range<u64> {
        let start = host + part.start % self.header.cluster_len();
        start..start + (part.end - part.start)
    }

    /// Checks that guest `range` lies within the disk.
    fn check_bounds(&self, range: &Range<u64>) -> Result<()> {
        let size = self.header.disk_size();
        if range.start <= range.end && range.end <= size {
            return Ok(());
        }
        Err(Error::out_of_bounds(format!("bytes {range:?} are meant, but the disk has {size}")).at(range.start))
    }
}

impl ImageEditor for ParallelsEditor<'_> {
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
        self.lock().resize(size, preallocation, self.context.limits).map_err(|e| e.in_format(NAME))
    }

    fn flush(&self) -> Result<()> {
        self.lock().flush().map_err(|e| e.in_format(NAME))
    }

    fn close(self: Box<Self>) -> Result<()> {
        self.lock().close().map_err(|e| e.in_format(NAME))
    }
}
