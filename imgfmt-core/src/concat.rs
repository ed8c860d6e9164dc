//! Images one behind the other, as one disk.

use std::ops::Range;
use std::sync::Arc;

use crate::compose::{Parts, read_composed};
use crate::extent::{Encoded, Extent, ExtentSink};
use crate::image::{Image, ImageExt, Kept};
use crate::info::Description;
use crate::storage::Storage;
use crate::{Error, Result};

/// Several disks one behind the other.
pub struct Concat {
    /// The disks.
    parts: Parts,
    /// For each disk, its first byte in the whole; and the end of the last.
    starts: Vec<u64>,
}

impl Concat {
    /// Puts `disks` one behind the other.
    ///
    /// # Errors
    ///
    /// [`Invalid`](crate::ErrorKind::Invalid) without any disk, or where the sum of their sizes overflows.
    pub fn new(disks: Vec<Box<dyn Image>>) -> Result<Self> {
        if disks.is_empty() {
            return Err(Error::invalid("there is no disk to put together"));
        }
        let mut starts = vec![0];
        for disk in &disks {
            let end = starts.last().copied().unwrap_or(0u64).checked_add(disk.size());
            starts.push(end.ok_or_else(|| Error::invalid("the disks together are larger than any disk"))?);
        }
        Ok(Self { parts: Parts::new(disks), starts })
    }

    /// The index of the disk that holds `offset`, which is within the whole.
    fn disk_at(&self, offset: u64) -> usize {
        self.starts.partition_point(|&start| start <= offset).saturating_sub(1).min(self.starts.len() - 2)
    }
}

impl Image for Concat {
    fn size(&self) -> u64 {
        self.starts.last().copied().unwrap_or(0)
    }

    fn sources(&self) -> &[Arc<dyn Storage>] {
        self.parts.sources()
    }

    fn map(&self, range: Range<u64>, sink: &mut ExtentSink<'_>) -> Result<()> {
        let mut extents = Vec::new();
        while !sink.is_full() {
            let rest = sink.rest();
            let index = self.disk_at(rest.start);
            let (start, end) = (self.starts[index], self.starts[index + 1].min(range.end));
            extents.clear();
            self.parts.images()[index].extents(rest.start - start..end - start, EXTENTS_PER_DISK, &mut extents)?;
            for &extent in &extents {
                let extent = self.parts.counted(index, extent);
                if !sink.is_full() {
                    sink.push_extent(Extent { start: extent.start + start, ..extent });
                }
            }
        }
        Ok(())
    }

    fn stored_body(&self, unit_start: u64, unit: &Encoded, stored: &[u8]) -> Result<Range<usize>> {
        self.parts.stored_body(|index| self.starts[index], unit_start, unit, stored)
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        read_composed(self, buf, offset, &|extent, mut part| {
            let mut at = extent.start;
            // What is opaque on both sides of a border between disks is one extent.
            while !part.is_empty() {
                let index = self.disk_at(at);
                let here = usize::try_from(self.starts[index + 1] - at).unwrap_or(usize::MAX).min(part.len());
                let (front, rest) = part.split_at_mut(here);
                self.parts.images()[index].read_at(front, at - self.starts[index])?;
                at += here as u64;
                part = rest;
            }
            Ok(())
        })
    }

    fn describe(&self) -> Description {
        self.parts.images()[0].describe()
    }

    fn kept(&self, range: Range<u64>) -> Result<Kept> {
        let index = self.disk_at(range.start);
        let start = self.starts[index];
        self.parts.kept(index, range.start - start..range.end.min(self.starts[index + 1]) - start)
    }
}

/// Extents asked of one disk at a time.
const EXTENTS_PER_DISK: usize = 1024;
