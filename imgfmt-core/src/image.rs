//! One layer of guest bytes.

use std::ops::Range;
use std::sync::Arc;

use crate::extent::{Encoded, Extent, ExtentSink, SourceId};
use crate::info::Description;
use crate::storage::Storage;
use crate::{Error, Result};

/// One layer of guest bytes, immutable after open.
///
/// There is no cursor: every method takes its place, and any number of threads may call at once. No
/// input makes a method panic, hang or read outside its storage.
pub trait Image: Send + Sync {
    /// Guest bytes of the virtual disk.
    fn size(&self) -> u64;

    /// The storages that [`SourceId`] counts.
    fn sources(&self) -> &[Arc<dyn Storage>];

    /// Says what the guest bytes of `range` are, from its start on, at least one extent of it.
    ///
    /// Callers keep `range` within `0..size` and not empty. Implementers push extents in order
    /// until [`ExtentSink::is_full`]; the sink clips, joins and checks. Callers use
    /// [`ImageExt::extents`], which does all of that.
    ///
    /// # Errors
    ///
    /// [`Malformed`](crate::ErrorKind::Malformed) or [`OutOfBounds`](crate::ErrorKind::OutOfBounds)
    /// where tables are damaged or point outside the file.
    fn map(&self, range: Range<u64>, sink: &mut ExtentSink<'_>) -> Result<()>;

    /// Finds the compressed stream within the `stored` bytes of a unit that starts at guest byte
    /// `unit_start`, and checks what frames it. `stored` is what lies at `unit.host`, at most
    /// `unit.stored_len` bytes.
    ///
    /// # Errors
    ///
    /// [`Malformed`](crate::ErrorKind::Malformed) or [`OutOfBounds`](crate::ErrorKind::OutOfBounds)
    /// where the frame is damaged or the stream longer than what is stored.
    fn stored_body(&self, unit_start: u64, unit: &Encoded, stored: &[u8]) -> Result<Range<usize>>;

    /// Fills `buf` with the guest bytes from `offset` on.
    ///
    /// Always right, if slower than [`map`](Self::map): for drivers whose extents tell everything,
    /// [`read::through_map`](crate::read::through_map) is the implementation.
    ///
    /// # Errors
    ///
    /// [`OutOfBounds`](crate::ErrorKind::OutOfBounds) beyond the disk,
    /// [`Missing`](crate::ErrorKind::Missing) where the bytes are the parent's and this layer stands
    /// alone, and whatever reading and decoding meet.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()>;

    /// What is to be said about the image beyond its bytes.
    fn describe(&self) -> Description;

    /// Says whether the bytes of `range`, which [`map`](Self::map) says are zero, have a place on the host all the same, from
    /// the start of the range on. Nothing is read from there, so that maps do not tell, and zeros that have places far apart
    /// stay one extent.
    ///
    /// # Errors
    ///
    /// As [`map`](Self::map).
    fn kept(&self, range: Range<u64>) -> Result<Kept> {
        Ok(Kept::nowhere(&range))
    }
}

/// Whether zeros have a place on the host that nothing is read from: space that is there for what will be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The source and the host byte in it of the first of them.
    pub place: Option<(SourceId, u64)>,
    /// Guest bytes of which that is true, each at the next host byte; at least 1.
    pub len: u64,
}

impl Kept {
    /// None of the zeros of `range` has a place.
    #[must_use]
    pub fn nowhere(range: &Range<u64>) -> Self {
        Self { place: None, len: range.end.saturating_sub(range.start).max(1) }
    }
}

/// Conveniences on every [`Image`].
pub trait ImageExt: Image {
    /// Appends to `extents` what the guest bytes of `range` are, at most `max` extents, and returns
    /// the guest byte up to which they go.
    ///
    /// # Errors
    ///
    /// As [`Image::map`], and [`OutOfBounds`](crate::ErrorKind::OutOfBounds) where `range` is empty or
    /// passes the end of the disk.
    fn extents(&self, range: Range<u64>, max: usize, extents: &mut Vec<Extent>) -> Result<u64> {
        if range.is_empty() || range.end > self.size() {
            let what = format!("guest bytes {range:?} are not within a disk of {} bytes", self.size());
            return Err(Error::out_of_bounds(what));
        }
        let mut sink = ExtentSink::new(range, max, extents);
        self.map(sink.rest(), &mut sink)?;
        sink.finish()
    }

    /// Calls `visit` with every extent of `range` in order, a window at a time.
    ///
    /// Extents that are alike but lie in two windows come apart.
    ///
    /// # Errors
    ///
    /// As [`extents`](Self::extents), and what `visit` returns.
    fn visit_extents(&self, range: Range<u64>, visit: &mut dyn FnMut(Extent) -> Result<()>) -> Result<()> {
        let ask = |range, extents: &mut Vec<Extent>| self.extents(range, EXTENTS_AT_ONCE, extents);
        visit_windows(self.sources(), range, ask, visit)
    }
}

impl<I: Image + ?Sized> ImageExt for I {}

/// Calls `visit` with every extent of `range` in order, of an image in `sources`. `ask` appends what the start of a range is to a
/// vector, and returns how far that goes.
pub(crate) fn visit_windows(
    sources: &[Arc<dyn Storage>],
    range: Range<u64>,
    mut ask: impl FnMut(Range<u64>, &mut Vec<Extent>) -> Result<u64>,
    visit: &mut dyn FnMut(Extent) -> Result<()>,
) -> Result<()> {
    let mut extents = Vec::new();
    let mut budget = ExtentBudget::of(sources);
    let mut next = range.start;
    while next < range.end {
        extents.clear();
        next = ask(next..range.end, &mut extents)?;
        budget.spend(extents.len())?;
        extents.drain(..).try_for_each(&mut *visit)?;
    }
    Ok(())
}

/// How many extents an image can have at most, so that a walk of its map ends.
///
/// Each extent has an entry in some table, and no format has entries of less than 4 bytes. A file that
/// names the same table over and over shows more: a small file could keep a walk busy for years.
#[derive(Debug)]
pub(crate) struct ExtentBudget {
    /// Extents that may still come.
    left: u64,
}

impl ExtentBudget {
    /// The budget of an image in these storages.
    pub(crate) fn of(sources: &[Arc<dyn Storage>]) -> Self {
        let len = sources.iter().fold(0u64, |sum, source| sum.saturating_add(source.len()));
        Self { left: (len / MIN_ENTRY_LEN).saturating_add(SPARE_EXTENTS) }
    }

    /// Takes note of `count` extents.
    pub(crate) fn spend(&mut self, count: usize) -> Result<()> {
        self.left = self.left.checked_sub(count as u64).ok_or_else(|| {
            Error::limit("the map has more extents than the file has room for entries: tables are used more than once")
        })?;
        Ok(())
    }
}

/// Bytes of the smallest table entry of any format: VMDK's.
const MIN_ENTRY_LEN: u64 = 4;
/// Extents that need no entry: zeros, layers that end early, extents cut by a window.
const SPARE_EXTENTS: u64 = 1 << 20;
/// Extents asked for in one call: enough that calls do not count, few enough to stay in a cache.
pub(crate) const EXTENTS_AT_ONCE: usize = 4096;
