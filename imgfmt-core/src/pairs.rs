//! Two disks side by side: where they can differ. What lies in holes of their files is zero.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use crate::extent::{Extent, ExtentKind, SourceId};
use crate::holes::Holes;
use crate::image::{ExtentBudget, Image};
use crate::storage::Storage;
use crate::{Error, Result};

/// Hands out the parts of two disks that have to be read to know whether they differ, by a look at their maps alone: what
/// both say is zero, or what both keep at the same place of the same file, is alike.
pub struct Pairs<'a> {
    /// One disk.
    left: Side<'a>,
    /// The other.
    right: Side<'a>,
    /// Parts begin and end at a multiple of this, but for the end of the disk.
    unit: u64,
    /// Guest bytes of a part at most.
    part_len: u64,
    /// The guest byte up to which everything has been handed out, or is alike.
    next: u64,
}

impl<'a> Pairs<'a> {
    /// Looks at `left` and `right`, which have one size, in parts of whole `unit`s.
    ///
    /// # Errors
    ///
    /// [`Invalid`](crate::ErrorKind::Invalid) for disks of two sizes, or a unit of 0.
    pub fn new(left: &'a dyn Image, right: &'a dyn Image, unit: u64) -> Result<Self> {
        if left.size() != right.size() || unit == 0 {
            return Err(Error::invalid("disks of two sizes cannot be looked at side by side"));
        }
        let part_len = PART_LEN.checked_next_multiple_of(unit).unwrap_or(unit);
        Ok(Self { left: Side::new(left), right: Side::new(right), unit, part_len, next: 0 })
    }

    /// The longest part that is handed out, in guest bytes.
    #[must_use]
    pub fn part_len(&self) -> u64 {
        self.part_len
    }

    /// The next part in which the disks can differ, or `None` at their end. Parts ascend and do not overlap.
    ///
    /// # Errors
    ///
    /// As [`Image::map`].
    pub fn next_part(&mut self) -> Result<Option<Range<u64>>> {
        let size = self.left.image.size();
        let mut at = self.next;
        while at < size {
            let (left, right) = (self.left.at(at)?, self.right.at(at)?);
            let end = left.end().min(right.end());
            if self.are_alike(&left, &right) {
                at = end;
                continue;
            }
            let start = (at - at % self.unit).max(self.next);
            let whole = end.checked_next_multiple_of(self.unit).unwrap_or(size);
            self.next = whole.min(start.saturating_add(self.part_len)).min(size);
            return Ok(Some(start..self.next));
        }
        self.next = size;
        Ok(None)
    }

    /// Whether the bytes of two extents, as far as they overlap, are alike without a look at them.
    fn are_alike(&self, left: &Extent, right: &Extent) -> bool {
        let same_place = |a: SourceId, b: SourceId, host: u64, other: u64| {
            self.left.place(a, host).is_some_and(|place| self.right.place(b, other) == Some(place))
        };
        match (left.kind, right.kind) {
            (ExtentKind::Zero { .. }, ExtentKind::Zero { .. }) => true,
            (ExtentKind::Data { source, host }, ExtentKind::Data { source: other, host: at }) => {
                same_place(source, other, host, at)
            }
            (ExtentKind::Encoded(a), ExtentKind::Encoded(b)) => {
                same_place(a.source, b.source, a.host, b.host)
                    && (a.codec, a.unit, a.skip, a.stored_len) == (b.codec, b.unit, b.skip, b.stored_len)
            }
            _ => false,
        }
    }
}

/// One of the two disks.
struct Side<'a> {
    /// The disk.
    image: &'a dyn Image,
    /// For each of its sources, the file that it is in: device, inode, and the byte at which it starts there.
    files: Vec<Option<(u64, u64, u64)>>,
    /// Extents that are known, from the last byte that was asked for on.
    known: VecDeque<Extent>,
    /// Room for one answer of the map.
    answer: Vec<Extent>,
    /// What is known of the holes in its files.
    holes: Holes,
    /// Ends a map that has no end.
    budget: ExtentBudget,
}

impl<'a> Side<'a> {
    /// The side of `image`.
    fn new(image: &'a dyn Image) -> Self {
        let files = image.sources().iter().map(file_of).collect();
        let budget = ExtentBudget::of(image.sources());
        Self { image, files, known: VecDeque::new(), answer: Vec::new(), holes: Holes::new(), budget }
    }

    /// What lies at guest byte `at`, from there on. Called with ascending bytes.
    fn at(&mut self, at: u64) -> Result<Extent> {
        while self.known.front().is_some_and(|extent| extent.end() <= at) {
            self.known.pop_front();
        }
        if self.known.is_empty() {
            self.answer.clear();
            self.holes.extents(self.image, at..self.image.size(), EXTENTS_PER_CALL, &mut self.answer)?;
            self.budget.spend(self.answer.len())?;
            self.known.extend(self.answer.iter().copied());
        }
        let first = self.known.front().ok_or_else(|| Error::malformed("a map answered with no extent"))?;
        Ok(first.clipped(&(at..u64::MAX)))
    }

    /// Which byte of which file byte `host` of a source is.
    fn place(&self, source: SourceId, host: u64) -> Option<(u64, u64, u64)> {
        let (device, inode, start) = (*self.files.get(source.0 as usize)?)?;
        Some((device, inode, start.checked_add(host)?))
    }
}

/// The file that `storage` is in, and where.
fn file_of(storage: &Arc<dyn Storage>) -> Option<(u64, u64, u64)> {
    let slice = storage.as_file()?;
    let stat = rustix::fs::fstat(slice.fd).ok()?;
    Some((stat.st_dev, stat.st_ino, slice.start))
}

/// Guest bytes of a part, unless a unit is larger.
const PART_LEN: u64 = 1 << 20;
/// Extents asked for in one call.
const EXTENTS_PER_CALL: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Blank, Concat};

    #[test]
    fn what_both_call_zero_is_alike_however_it_is_cut() {
        let left = Blank::new(10 << 40);
        let right = Concat::new(vec![Box::new(Blank::new(3)), Box::new(Blank::new((10 << 40) - 3))]).unwrap();
        assert_eq!(Pairs::new(&left, &right, 4096).unwrap().next_part().unwrap(), None);
        assert!(Pairs::new(&left, &Blank::new(5), 4096).is_err());
        assert!(Pairs::new(&left, &right, 0).is_err());
    }
}
