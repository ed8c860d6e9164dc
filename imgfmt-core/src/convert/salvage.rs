//! Going on where a source cannot be read.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use super::buffers::{Buffers, in_memory};
use super::plan::Job;
use super::work::Worker;
use crate::extent::{Extent, ExtentKind};
use crate::image::Image;
use crate::read::UnitReader;

/// The guest bytes that could not be read, and became zeros.
#[derive(Debug, Default)]
pub struct Salvage(Mutex<Vec<Range<u64>>>);

impl Salvage {
    /// Nothing is lost yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes note of guest bytes that are lost.
    pub(super) fn lose(&self, range: Range<u64>) {
        let mut lost = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match lost.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => lost.push(range),
        }
    }

    /// What is lost, ascending; ranges that touch are one.
    #[must_use]
    pub fn into_lost(self) -> Vec<Range<u64>> {
        let mut all = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        all.sort_by_key(|range| range.start);
        let mut lost: Vec<Range<u64>> = Vec::new();
        for range in all {
            match lost.last_mut() {
                Some(last) if last.end >= range.start => last.end = last.end.max(range.end),
                _ => lost.push(range),
            }
        }
        lost
    }
}

impl Worker<'_> {
    /// Fills the plain buffer from what can be read of the job's extents; the rest is zero, and lost.
    pub(super) fn fill_what_can_be(&self, job: &Job, buffers: &mut Buffers, salvage: &Salvage) {
        let image = job.source(self.task.source);
        let mut reader = UnitReader::default();
        for extent in &job.extents {
            let at = in_memory(extent.start - job.range.start);
            let plain = &mut buffers.plain[at..at + in_memory(extent.len)];
            read_parts(image, &mut reader, extent, plain, salvage);
        }
    }
}

/// Reads an extent, in ever smaller parts where it cannot be read as one.
fn read_parts(image: &dyn Image, reader: &mut UnitReader, extent: &Extent, plain: &mut [u8], salvage: &Salvage) {
    let read = match extent.kind {
        ExtentKind::Opaque => image.read_at(plain, extent.start),
        _ => reader.read_extent(image, extent, plain),
    };
    if read.is_ok() {
        return;
    }
    // A compressed unit is whole or lost.
    if matches!(extent.kind, ExtentKind::Encoded(_)) || extent.len <= SECTOR_LEN {
        plain.fill(0);
        return salvage.lose(extent.start..extent.end());
    }
    let middle = extent.start + (extent.len / 2).next_multiple_of(SECTOR_LEN).min(extent.len - 1);
    let (first, second) = plain.split_at_mut(in_memory(middle - extent.start));
    read_parts(image, reader, &extent.clipped(&(extent.start..middle)), first, salvage);
    read_parts(image, reader, &extent.clipped(&(middle..extent.end())), second, salvage);
}

/// Bytes of a sector, the least that is lost.
const SECTOR_LEN: u64 = 512;
