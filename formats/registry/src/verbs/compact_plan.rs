//! Which parts of a disk may take space for zeros.

use std::collections::VecDeque;
use std::ops::Range;

use imgfmt_core::holes::Holes;
use imgfmt_core::{Description, Extent, ExtentKind, Image, Result};

/// A part of the disk: whole units, but for its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Something is stored here, and may be zero.
    Stored(Range<u64>),
    /// This is zero by an entry of its own, or lies in a hole of its file: there may be space behind it all the same.
    Zero(Range<u64>),
}

/// Hands out the parts, in order and without overlap.
pub(super) struct Plan<'a> {
    /// The disk.
    image: &'a dyn Image,
    /// Parts begin and end at a multiple of this.
    unit: u64,
    /// Whether what is known to be zero takes an entry or space that could be given back.
    has_units: bool,
    /// The guest byte up to which everything is handed out, or takes no space.
    next: u64,
    /// Extents that are known, from `next` on.
    known: VecDeque<Extent>,
    /// Room for one answer of the map.
    answer: Vec<Extent>,
    /// What is known of the holes in the files of the image.
    holes: Holes,
}

impl<'a> Plan<'a> {
    /// The parts of `image`.
    pub(super) fn new(image: &'a dyn Image) -> Self {
        let description = image.describe();
        Self {
            image,
            unit: unit_of(&description),
            has_units: description.cluster_size.is_some(),
            next: 0,
            known: VecDeque::new(),
            answer: Vec::new(),
            holes: Holes::new(),
        }
    }

    /// The next part, or `None` at the end.
    ///
    /// # Errors
    ///
    /// As [`Image::map`].
    pub(super) fn next_part(&mut self) -> Result<Option<Part>> {
        let size = self.image.size();
        while let Some(extent) = self.extent()? {
            let first = extent.start.next_multiple_of(self.unit);
            let end = extent.end();
            let part = match extent.kind {
                ExtentKind::Parent | ExtentKind::Zero { explicit: false } => None,
                ExtentKind::Zero { .. } if !self.has_units => None,
                ExtentKind::Zero { .. } => {
                    let whole = if end == size { end } else { end - end % self.unit };
                    (whole > first).then(|| {
                        Part::Zero(
                            first..whole.min(first.saturating_add(ZERO_LEN / self.unit * self.unit).max(self.unit)),
                        )
                    })
                }
                _ => {
                    let start = (extent.start - extent.start % self.unit).max(self.next - self.next % self.unit);
                    let part_len = PART_LEN.checked_next_multiple_of(self.unit).unwrap_or(self.unit);
                    let whole = end.checked_next_multiple_of(self.unit).unwrap_or(size);
                    Some(Part::Stored(start..whole.min(start.saturating_add(part_len)).min(size)))
                }
            };
            match part {
                Some(part) => {
                    let (Part::Stored(range) | Part::Zero(range)) = &part;
                    self.next = range.end;
                    return Ok(Some(part));
                }
                None => self.next = end,
            }
        }
        Ok(None)
    }

    /// What lies at the next byte.
    fn extent(&mut self) -> Result<Option<Extent>> {
        while self.known.front().is_some_and(|extent| extent.end() <= self.next) {
            self.known.pop_front();
        }
        if self.known.is_empty() && self.next < self.image.size() {
            self.answer.clear();
            self.holes.extents(self.image, self.next..self.image.size(), EXTENTS_PER_CALL, &mut self.answer)?;
            self.known.extend(self.answer.iter().copied());
        }
        Ok(self.known.front().map(|extent| extent.clipped(&(self.next..u64::MAX))))
    }
}

/// Guest bytes that are given back as one.
pub(super) fn unit_of(description: &Description) -> u64 {
    description.cluster_size.unwrap_or(DEFAULT_UNIT).max(1)
}

/// Guest bytes that are erased as one where the image has no units: the blocks of most file systems.
const DEFAULT_UNIT: u64 = 4096;
/// Guest bytes that are looked at by one thread, unless a unit is larger.
const PART_LEN: u64 = 1 << 20;
/// Guest bytes that are erased in one call at most, unless a unit is larger: between two, the work can be stopped.
const ZERO_LEN: u64 = 256 << 20;
/// Extents asked for in one call.
const EXTENTS_PER_CALL: usize = 1024;
