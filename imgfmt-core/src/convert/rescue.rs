//! Reading what can be read of a job that cannot be read as a whole, with few reads that fail: on a bad disk, each of them
//! takes seconds.
//!
//! An extent is read whole, then in units of 64 KiB, and only a unit that fails in sectors: from its front to the first that
//! cannot be read, and from its back. What is left between is halved, and each half treated alike, for as long as that gives
//! anything; where it does not, the rest is given up. So the good sectors around and between bad spots are had, and a region of
//! which nothing can be read costs 56 reads for each MiB.

use std::collections::VecDeque;
use std::ops::Range;

use super::buffers::{Buffers, in_memory};
use super::plan::Job;
use super::salvage::Rescue;
use super::work::Worker;
use crate::Result;
use crate::extent::{Extent, ExtentKind};
use crate::image::Image;
use crate::read::{UnitReader, source_of};

impl Worker<'_> {
    /// Fills the plain buffer from what can be read of the job's extents; the rest is zero, and lost.
    pub(super) fn fill_what_can_be(&self, job: &Job, buffers: &mut Buffers, rescue: Rescue<'_>) -> Result<()> {
        let image = job.source(self.task.source);
        let mut reader = UnitReader::default();
        for extent in &job.extents {
            let at = in_memory(extent.start - job.range.start);
            let plain = &mut buffers.plain[at..at + in_memory(extent.len)];
            fill_extent(image, &mut reader, extent, plain, rescue)?;
        }
        Ok(())
    }
}

/// Fills `plain` from what can be read of an extent.
fn fill_extent(
    image: &dyn Image,
    reader: &mut UnitReader,
    extent: &Extent,
    plain: &mut [u8],
    rescue: Rescue<'_>,
) -> Result<()> {
    rescue.go_on()?;
    let guest = extent.start;
    let lose = |plain: &mut [u8], from: u64| {
        plain.fill(0);
        rescue.salvage.lose(guest + from..guest + from + plain.len() as u64);
    };
    match extent.kind {
        ExtentKind::Data { source, host } => {
            let Ok(source) = source_of(image, source) else {
                lose(plain, 0);
                return Ok(());
            };
            // Nothing has to be tried to know that there is nothing behind the end of a file.
            let there = source.len().saturating_sub(host).min(extent.len);
            let (head, cut) = plain.split_at_mut(in_memory(there));
            lose(cut, there);
            Damaged { start: host, plain: head, guest, read: &|part, at| source.read_at(part, at), rescue }.read()
        }
        ExtentKind::Opaque => {
            Damaged { start: guest, plain, guest, read: &|part, at| image.read_at(part, at), rescue }.read()
        }
        // A compressed unit is whole or lost.
        ExtentKind::Encoded(_) | ExtentKind::Zero { .. } | ExtentKind::Parent => {
            if reader.read_extent(image, extent, plain).is_err() {
                lose(plain, 0);
            }
            Ok(())
        }
    }
}

/// Bytes of which some cannot be read. Places are those of `read`, in whose sectors the bytes are had or lost.
struct Damaged<'a> {
    /// The place of the first byte.
    start: u64,
    /// Where they go.
    plain: &'a mut [u8],
    /// The guest byte that is the first.
    guest: u64,
    /// Fills a buffer from a place on.
    read: &'a dyn Fn(&mut [u8], u64) -> Result<()>,
    /// Where what is lost is noted.
    rescue: Rescue<'a>,
}

impl Damaged<'_> {
    /// Reads what can be read.
    fn read(&mut self) -> Result<()> {
        let all = self.start..self.start + self.plain.len() as u64;
        if all.is_empty() || (first_part(&all, UNIT_LEN).end < all.end && self.get(&all)?) {
            return Ok(());
        }
        let mut rest = all;
        // Behind a unit of which nothing could be read, less is tried.
        let mut in_vain = 0;
        while !rest.is_empty() {
            let unit = first_part(&rest, UNIT_LEN);
            rest.start = unit.end;
            in_vain = if self.read_unit(unit, in_vain)? { 0 } else { TRIES - 1 };
        }
        Ok(())
    }

    /// Reads what can be read of a unit, where so many tries before were in vain, and says whether that is anything.
    fn read_unit(&mut self, unit: Range<u64>, in_vain: u32) -> Result<bool> {
        let mut anything = false;
        // In the order in which they are found, so that what is tried lies all over the unit.
        let mut regions = VecDeque::from([(unit, in_vain)]);
        while let Some((region, in_vain)) = regions.pop_front() {
            if self.get(&region)? {
                anything = true;
                continue;
            }
            let (inner, trimmed) = self.trim(region)?;
            anything |= trimmed;
            let in_vain = if trimmed { 0 } else { in_vain + 1 };
            if inner.is_empty() || in_vain >= TRIES {
                self.lose(&inner);
                continue;
            }
            let middle = inner.start.midpoint(inner.end).next_multiple_of(SECTOR_LEN).min(inner.end);
            let halves = [inner.start..middle, middle..inner.end];
            regions.extend(halves.into_iter().filter(|half| !half.is_empty()).map(|half| (half, in_vain)));
        }
        Ok(anything)
    }

    /// Reads a region that cannot be read as a whole from both sides, up to the first sector that fails on each. Returns
    /// what lies between, and whether anything was read.
    fn trim(&mut self, region: Range<u64>) -> Result<(Range<u64>, bool)> {
        let (mut rest, mut anything) = (region.clone(), false);
        if first_part(&region, SECTOR_LEN) == region {
            // A sector alone has just been tried.
            self.lose(&region);
            return Ok((region.end..region.end, false));
        }
        for part in [first_part, last_part] {
            while !rest.is_empty() {
                let sector = part(&rest, SECTOR_LEN);
                rest = if sector.start == rest.start { sector.end..rest.end } else { rest.start..sector.start };
                if !self.get(&sector)? {
                    self.lose(&sector);
                    break;
                }
                anything = true;
            }
        }
        Ok((rest, anything))
    }

    /// Tries to read what lies at `places`.
    fn get(&mut self, places: &Range<u64>) -> Result<bool> {
        self.rescue.go_on()?;
        let read = self.read;
        Ok(read(self.part(places), places.start).is_ok())
    }

    /// Gives up what lies at `places`.
    fn lose(&mut self, places: &Range<u64>) {
        self.part(places).fill(0);
        let guest = |place: u64| self.guest + (place - self.start);
        self.rescue.salvage.lose(guest(places.start)..guest(places.end));
    }

    /// The buffer of what lies at `places`.
    fn part(&mut self, places: &Range<u64>) -> &mut [u8] {
        &mut self.plain[in_memory(places.start - self.start)..in_memory(places.end - self.start)]
    }
}

/// The start of a range that is not empty, up to where the next multiple of `unit` begins.
fn first_part(range: &Range<u64>, unit: u64) -> Range<u64> {
    range.start..range.end.min((range.start / unit + 1).saturating_mul(unit))
}

/// The end of a range that is not empty, from the last multiple of `unit` in it.
fn last_part(range: &Range<u64>, unit: u64) -> Range<u64> {
    range.start.max((range.end - 1) / unit * unit)..range.end
}

/// Bytes of a sector, the least that is lost.
const SECTOR_LEN: u64 = 512;
/// Bytes that are read next where more could not be: 64 KiB, as much as a disk reads in one go.
const UNIT_LEN: u64 = 64 << 10;
/// Times that a region, a half of it, and so on, is tried from both sides without getting anything. With 2, a good run of half a
/// unit is always found.
const TRIES: u32 = 2;
