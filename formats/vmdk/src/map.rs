//! The disk: extents one behind the other.

use std::ops::Range;
use std::sync::Arc;

use imgfmt_core::{Description, Encoded, Error, ExtentKind, ExtentSink, Image, Result, SourceId, Storage, read};

use crate::NAME;
use crate::sparse::{Place, SparseExtent};
use crate::tables::TableCache;

/// A disk.
pub(crate) struct VmdkImage {
    /// The extents that have guest bytes, in their order.
    pub(crate) extents: Vec<DiskExtent>,
    /// The files.
    pub(crate) sources: Vec<Arc<dyn Storage>>,
    /// The descriptor, where it is a file of its own: not needed any more, but for the lock that is on it.
    pub(crate) _descriptor_file: Option<Arc<dyn Storage>>,
    /// Whether what is not stored is the parent's.
    pub(crate) has_parent: bool,
    /// What is to be said about it.
    pub(crate) description: Description,
    /// Grain tables in memory.
    pub(crate) cache: TableCache,
}

/// One extent of a disk.
#[derive(Debug)]
pub(crate) struct DiskExtent {
    /// Its first guest byte.
    pub(crate) start: u64,
    /// Its guest bytes; not 0.
    pub(crate) size: u64,
    /// Where they are.
    pub(crate) content: Content,
}

/// Where the bytes of an extent are.
#[derive(Debug)]
pub(crate) enum Content {
    /// Nowhere: they are zeros.
    Zero,
    /// Somewhere that they are not read from, and why.
    Hidden(&'static str),
    /// In a file, as they are, from byte `host` on.
    Flat {
        /// The file.
        source: SourceId,
        /// The first byte.
        host: u64,
    },
    /// In grains.
    Sparse(Box<SparseExtent>),
}

impl VmdkImage {
    /// The number of the extent that has guest byte `at`.
    fn extent_at(&self, at: u64) -> usize {
        self.extents.partition_point(|extent| extent.start <= at).saturating_sub(1)
    }

    /// What a byte is that no extent stores.
    fn absent(&self) -> ExtentKind {
        if self.has_parent { ExtentKind::Parent } else { ExtentKind::Zero { explicit: false } }
    }

    /// Answers for `range`.
    fn map_extents(&self, range: Range<u64>, sink: &mut ExtentSink<'_>) -> Result<()> {
        let first = self.extent_at(range.start);
        for (number, extent) in self.extents.iter().enumerate().skip(first) {
            if sink.is_full() || extent.start >= range.end {
                break;
            }
            match &extent.content {
                Content::Zero => sink.push(extent.start, extent.size, ExtentKind::Zero { explicit: true }),
                Content::Hidden(_) => sink.push(extent.start, extent.size, ExtentKind::Opaque),
                &Content::Flat { source, host } => {
                    sink.push(extent.start, extent.size, ExtentKind::Data { source, host });
                }
                Content::Sparse(sparse) => {
                    let place = Place { number, start: extent.start, absent: self.absent(), cache: &self.cache };
                    let within = range.start.saturating_sub(extent.start)..range.end - extent.start;
                    sparse.map(place, within, sink)?;
                }
            }
        }
        Ok(())
    }

    /// Refuses a read of `len` bytes at `offset` that would need bytes of a hidden extent.
    fn check_access(&self, offset: u64, len: usize) -> Result<()> {
        let end = offset.saturating_add(len as u64);
        let touched = self.extents.iter().skip(self.extent_at(offset)).take_while(|extent| extent.start < end);
        for (extent, number) in touched.zip(self.extent_at(offset) + 1..) {
            if let Content::Hidden(why) = extent.content {
                let what = format!("extent {number}, from guest byte {} on, {why}", extent.start);
                return Err(Error::unsupported(what).in_format(NAME));
            }
        }
        Ok(())
    }

    /// Finds the zlib stream in what is stored of a grain.
    fn grain_body(&self, unit_start: u64, unit: &Encoded, stored: &[u8]) -> Result<Range<usize>> {
        match self.extents.get(self.extent_at(unit_start)) {
            Some(DiskExtent { start, content: Content::Sparse(sparse), .. }) => {
                sparse.stored_body(unit_start.saturating_sub(*start), unit, stored)
            }
            _ => Err(Error::malformed(format!("no grain starts at guest byte {unit_start}"))),
        }
    }
}

impl Image for VmdkImage {
    fn size(&self) -> u64 {
        self.extents.last().map_or(0, |extent| extent.start + extent.size)
    }

    fn sources(&self) -> &[Arc<dyn Storage>] {
        &self.sources
    }

    fn map(&self, range: Range<u64>, sink: &mut ExtentSink<'_>) -> Result<()> {
        self.map_extents(range, sink).map_err(|e| e.in_format(NAME))
    }

    fn stored_body(&self, unit_start: u64, unit: &Encoded, stored: &[u8]) -> Result<Range<usize>> {
        self.grain_body(unit_start, unit, stored).map_err(|e| e.in_format(NAME))
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        self.check_access(offset, buf.len())?;
        read::through_map(self, buf, offset)
    }

    fn describe(&self) -> Description {
        self.description.clone()
    }
}
