//! What a stream has handed out, as an image in memory that one job reads.

use std::ops::Range;
use std::sync::Arc;

use crate::extent::{Encoded, Extent, ExtentKind, ExtentSink, SourceId};
use crate::image::Image;
use crate::info::Description;
use crate::read::through_map;
use crate::storage::{MemoryStorage, Storage};
use crate::{Error, Result};

/// A stretch of a disk in memory. Guest bytes count from the start of the disk.
pub(super) struct Held {
    /// The bytes that the stream handed out, as the one source.
    source: [Arc<dyn Storage>; 1],
    /// What they are, ascending.
    extents: Vec<Extent>,
}

impl Held {
    /// Nothing: the source of jobs that all hold what they are about.
    pub(super) fn nothing() -> Self {
        Self::new(Vec::new(), Vec::new())
    }

    /// The stretch that `extents` describe, whose host offsets are places in `bytes`.
    pub(super) fn new(bytes: Vec<u8>, extents: Vec<Extent>) -> Self {
        Self { source: [Arc::new(MemoryStorage::new(bytes))], extents }
    }
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Held").field(&self.extents.len()).finish()
    }
}

impl Image for Held {
    fn size(&self) -> u64 {
        self.extents.last().map_or(0, Extent::end)
    }

    fn sources(&self) -> &[Arc<dyn Storage>] {
        &self.source
    }

    fn map(&self, range: Range<u64>, sink: &mut ExtentSink<'_>) -> Result<()> {
        let first = self.extents.first().map_or(0, |extent| extent.start);
        if range.start < first {
            return Err(Error::out_of_bounds(format!("guest byte {} is not in memory", range.start)));
        }
        for extent in self.extents.iter().filter(|extent| extent.end() > range.start) {
            if sink.is_full() {
                break;
            }
            sink.push_extent(extent.clipped(&(range.start..u64::MAX)));
        }
        Ok(())
    }

    /// Streams are held without what framed them.
    fn stored_body(&self, _unit_start: u64, _unit: &Encoded, stored: &[u8]) -> Result<Range<usize>> {
        Ok(0..stored.len())
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        through_map(self, buf, offset)
    }

    fn describe(&self) -> Description {
        Description::default()
    }
}

/// Plain bytes at `host` of what is held.
pub(super) fn held_data(host: usize) -> ExtentKind {
    ExtentKind::Data { source: SourceId(0), host: host as u64 }
}
