//! Two maps, walked side by side.

use std::collections::VecDeque;
use std::ops::Range;

use super::CompareError;
use crate::Result;
use crate::extent::{Extent, ExtentKind};
use crate::holes::Holes;
use crate::image::{EXTENTS_AT_ONCE, ExtentBudget, Image};
use crate::storage::Storage;

/// A window to compare.
pub(super) struct Task {
    /// Guest bytes; empty where there is only a status to tell of.
    pub(super) range: Range<u64>,
    /// What the two disks have there.
    pub(super) extents: [Vec<Extent>; 2],
    /// Where one stores what the other does not, if that matters.
    pub(super) status: Option<u64>,
}

/// The walk over two disks.
pub(super) struct Walk<'a> {
    /// The maps of both.
    maps: [Map<'a>; 2],
    /// The guest byte that comes next.
    next: u64,
    /// The guest byte after the last of either disk.
    end: u64,
    /// Whether what is stored matters.
    strict: bool,
}

impl<'a> Walk<'a> {
    /// A walk over all of both disks.
    pub(super) fn new(disks: [&'a dyn Image; 2], strict: bool) -> Self {
        let end = disks[0].size().max(disks[1].size());
        Self { maps: disks.map(Map::new), next: 0, end, strict }
    }

    /// The guest byte that comes next.
    pub(super) fn position(&self) -> u64 {
        self.next
    }

    /// The next window that has to be read, or `None` at the end.
    pub(super) fn next_task(&mut self) -> Result<Option<Task>, CompareError> {
        while self.next < self.end {
            let [first, second] = self.both()?;
            let run = first.end().min(second.end());
            if self.strict && stored(&first) != stored(&second) {
                let status = Some(self.next);
                return Ok(Some(Task { range: self.next..self.next, extents: [Vec::new(), Vec::new()], status }));
            }
            if self.alike(&first, &second) {
                self.next = run;
                continue;
            }
            return self.window().map(Some);
        }
        Ok(None)
    }

    /// What both disks have at the next byte.
    fn both(&mut self) -> Result<[Extent; 2], CompareError> {
        let mut both = [Extent { start: 0, len: 0, layer: 0, kind: ExtentKind::Parent }; 2];
        for (side, extent) in both.iter_mut().enumerate() {
            *extent = self.maps[side].at(self.next, self.end).map_err(|error| CompareError { side, error })?;
        }
        Ok(both)
    }

    /// Whether the bytes are the same without a look at them.
    fn alike(&self, first: &Extent, second: &Extent) -> bool {
        match (first.kind, second.kind) {
            (ExtentKind::Zero { .. }, ExtentKind::Zero { .. }) => true,
            (ExtentKind::Data { source: a, host: at }, ExtentKind::Data { source: b, host: other }) => {
                at == other && self.same_file(a.0, b.0)
            }
            _ => false,
        }
    }

    /// Whether two sources are the same bytes of the same file.
    fn same_file(&self, first: u32, second: u32) -> bool {
        let place = |map: &Map<'a>, index: u32| map.places.get(index as usize).copied().flatten();
        let (first, second) = (place(&self.maps[0], first), place(&self.maps[1], second));
        first.is_some() && first == second
    }

    /// The window that starts at the next byte, and moves on behind it.
    fn window(&mut self) -> Result<Task, CompareError> {
        let mut end = self.next.saturating_add(WINDOW_LEN).min(self.end);
        let mut extents = [Vec::new(), Vec::new()];
        // A compressed unit is not cut in two, or it would be decoded twice.
        for side in 0..extents.len() {
            let wanted =
                self.maps[side].until(self.next, end, self.end).map_err(|error| CompareError { side, error })?;
            if let Some(last) = wanted.last().filter(|last| matches!(last.kind, ExtentKind::Encoded(_))) {
                end = end.max(last.end());
            }
        }
        for (side, extents) in extents.iter_mut().enumerate() {
            *extents = self.maps[side].until(self.next, end, self.end).map_err(|error| CompareError { side, error })?;
            extents.iter_mut().for_each(|extent| *extent = extent.clipped(&(self.next..end)));
        }
        let status = self.strict.then(|| first_status(&extents)).flatten();
        let range = self.next..end;
        self.next = end;
        Ok(Task { range, extents, status })
    }
}

/// Device, inode and first byte of the file behind a storage.
fn place(storage: &dyn Storage) -> Option<(u64, u64, u64)> {
    let slice = storage.as_file()?;
    let stat = rustix::fs::fstat(slice.fd).ok()?;
    Some((stat.st_dev, stat.st_ino, slice.start))
}

/// Whether a layer has an entry for the bytes.
fn stored(extent: &Extent) -> bool {
    !matches!(extent.kind, ExtentKind::Zero { explicit: false } | ExtentKind::Parent)
}

/// The first byte at which one stores what the other does not.
fn first_status(extents: &[Vec<Extent>; 2]) -> Option<u64> {
    let (mut first, mut second) = (extents[0].iter().peekable(), extents[1].iter().peekable());
    let mut at = 0;
    while let (Some(a), Some(b)) = (first.peek(), second.peek()) {
        if stored(a) != stored(b) {
            return Some(at.max(a.start).max(b.start));
        }
        at = a.end().min(b.end());
        let (a_ends, b_ends) = (a.end() == at, b.end() == at);
        if a_ends {
            first.next();
        }
        if b_ends {
            second.next();
        }
    }
    None
}

/// The map of one disk, as far as it is known.
struct Map<'a> {
    /// The disk.
    disk: &'a dyn Image,
    /// Extents, ascending.
    known: VecDeque<Extent>,
    /// The guest byte up to which they go.
    mapped: u64,
    /// Ends a map that has no end.
    budget: ExtentBudget,
    /// Device, inode and first byte of each source that is a file.
    places: Vec<Option<(u64, u64, u64)>>,
    /// What is known of the holes in those files.
    holes: Holes,
}

impl<'a> Map<'a> {
    /// A map of which nothing is known.
    fn new(disk: &'a dyn Image) -> Self {
        let places = disk.sources().iter().map(|source| place(source.as_ref())).collect();
        Self {
            disk,
            known: VecDeque::new(),
            mapped: 0,
            budget: ExtentBudget::of(disk.sources()),
            places,
            holes: Holes::new(),
        }
    }

    /// The extent that guest byte `at` is in, from there on; zeros from the end of the disk up to `end`.
    fn at(&mut self, at: u64, end: u64) -> Result<Extent> {
        self.forget(at);
        while self.known.is_empty() && self.mapped < self.disk.size() {
            self.more()?;
            self.forget(at);
        }
        Ok(match self.known.front() {
            Some(extent) => extent.clipped(&(at..u64::MAX)),
            None => Extent { start: at, len: end - at, layer: 0, kind: ExtentKind::Zero { explicit: false } },
        })
    }

    /// The extents from `at` up to `end`, whole ones, and zeros behind the end of the disk.
    fn until(&mut self, at: u64, end: u64, all: u64) -> Result<Vec<Extent>> {
        while self.mapped < end.min(self.disk.size()) {
            self.more()?;
        }
        let mut extents: Vec<_> = self.known.iter().filter(|e| e.end() > at && e.start < end).copied().collect();
        let size = self.disk.size();
        if end > size {
            let start = size.max(at);
            extents.push(Extent { start, len: all - start, layer: 0, kind: ExtentKind::Zero { explicit: false } });
        }
        Ok(extents)
    }

    /// Forgets what lies before `at`.
    fn forget(&mut self, at: u64) {
        while self.known.front().is_some_and(|extent| extent.end() <= at) {
            self.known.pop_front();
        }
    }

    /// Asks for more of the map.
    fn more(&mut self) -> Result<()> {
        let mut answer = Vec::new();
        self.mapped = self.holes.extents(self.disk, self.mapped..self.disk.size(), EXTENTS_AT_ONCE, &mut answer)?;
        self.budget.spend(answer.len())?;
        self.known.extend(answer);
        Ok(())
    }
}

/// Guest bytes that are compared at once, unless a unit is larger.
const WINDOW_LEN: u64 = 1 << 20;
