//! A part of a disk as a disk of its own.

use std::ops::Range;
use std::sync::Arc;

use crate::compose::read_composed;
use crate::extent::{Encoded, Extent, ExtentKind, ExtentSink};
use crate::image::{Image, ImageExt, Kept};
use crate::info::Description;
use crate::storage::Storage;
use crate::{Error, Result};

/// The guest bytes of one range of another disk, renumbered from 0.
pub struct Part {
    /// The whole disk.
    whole: Box<dyn Image>,
    /// The guest bytes of it that show.
    range: Range<u64>,
}

impl Part {
    /// The guest bytes `range` of `whole`.
    ///
    /// # Errors
    ///
    /// [`OutOfBounds`](crate::ErrorKind::OutOfBounds) where `range` is reversed or passes the end of the disk.
    pub fn new(whole: Box<dyn Image>, range: Range<u64>) -> Result<Self> {
        if range.start > range.end || range.end > whole.size() {
            let what = format!("guest bytes {range:?} are not within a disk of {} bytes", whole.size());
            return Err(Error::out_of_bounds(what));
        }
        Ok(Self { whole, range })
    }

    /// An extent of the whole as one of the part. Of a unit that begins before the part does, nobody could say where it
    /// starts, so it is left to [`read_at`](Image::read_at).
    fn moved(&self, extent: Extent) -> Extent {
        let start = extent.start - self.range.start;
        let kind = match extent.kind {
            ExtentKind::Encoded(unit) if u64::from(unit.skip) > start => ExtentKind::Opaque,
            kind => kind,
        };
        Extent { start, kind, ..extent }
    }
}

#[deny(clippy::missing_trait_methods)]
impl Image for Part {
    fn size(&self) -> u64 {
        self.range.end - self.range.start
    }

    fn sources(&self) -> &[Arc<dyn Storage>] {
        self.whole.sources()
    }

    fn map(&self, range: Range<u64>, sink: &mut ExtentSink<'_>) -> Result<()> {
        let mut extents = Vec::new();
        let mut next = range.start;
        while next < range.end && !sink.is_full() {
            extents.clear();
            let within = self.range.start + next..self.range.start + range.end;
            next = self.whole.extents(within, EXTENTS_PER_CALL, &mut extents)? - self.range.start;
            for &extent in &extents {
                if !sink.is_full() {
                    sink.push_extent(self.moved(extent));
                }
            }
        }
        Ok(())
    }

    fn stored_body(&self, unit_start: u64, unit: &Encoded, stored: &[u8]) -> Result<Range<usize>> {
        self.whole.stored_body(unit_start + self.range.start, unit, stored)
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        read_composed(self, buf, offset, &|extent, part| self.whole.read_at(part, extent.start + self.range.start))
    }

    fn describe(&self) -> Description {
        self.whole.describe()
    }

    fn kept(&self, range: Range<u64>) -> Result<Kept> {
        self.whole.kept(self.range.start + range.start..self.range.start + range.end)
    }
}

/// Extents asked of the whole disk at a time.
const EXTENTS_PER_CALL: usize = 1024;

#[cfg(all(test, feature = "conformance"))]
mod tests {
    use super::*;
    use crate::conformance::Plain;
    use crate::format::{Format, OpenContext};
    use crate::{DenyAll, Limits, MemoryStorage};

    #[test]
    fn a_part_shows_its_range_and_nothing_else() {
        let bytes: Vec<u8> = (0..200).collect();
        let storage = Arc::new(MemoryStorage::new(bytes.clone()));
        let whole = Plain.open(storage, &OpenContext::new(&Limits::default(), &DenyAll)).unwrap().image;
        let part = Part::new(whole, 30..90).unwrap();
        let mut read = [0; 60];
        part.read_at(&mut read, 0).unwrap();
        assert_eq!(read, bytes[30..90]);
        assert!(part.read_at(&mut read, 1).is_err());
        assert!(Part::new(Box::new(part), 10..61).is_err());
    }
}
