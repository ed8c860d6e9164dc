//! Which guest bytes a commit moves, in which pieces.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use imgfmt_core::holes::Holes;
use imgfmt_core::{Description, Encoded, Error, Extent, ExtentKind, ExtentSink, Image, Kept, Result, Storage};

/// What stands for the base while the layers above it are looked at: it leaves everything to a layer below.
pub(super) struct Hole {
    /// Guest bytes of the base.
    pub(super) size: u64,
}

#[deny(clippy::missing_trait_methods)]
impl Image for Hole {
    fn size(&self) -> u64 {
        self.size
    }

    fn sources(&self) -> &[Arc<dyn Storage>] {
        &[]
    }

    fn map(&self, range: Range<u64>, sink: &mut ExtentSink<'_>) -> Result<()> {
        sink.push(range.start, range.end - range.start, ExtentKind::Parent);
        Ok(())
    }

    fn stored_body(&self, _unit_start: u64, _unit: &Encoded, _stored: &[u8]) -> Result<Range<usize>> {
        Err(Error::malformed("nothing is stored here"))
    }

    fn read_at(&self, _buf: &mut [u8], _offset: u64) -> Result<()> {
        Err(Error::new(imgfmt_core::ErrorKind::Missing, "the bytes are the base's"))
    }

    fn describe(&self) -> Description {
        Description::default()
    }

    fn kept(&self, range: Range<u64>) -> Result<Kept> {
        Ok(Kept::nowhere(&range))
    }
}

/// A piece of the disk that the base gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// Bytes to be copied: whole units of the base, but for the end of the disk.
    Copy(Range<u64>),
    /// Bytes that are zero, of whole units.
    Zero(Range<u64>),
}

/// Hands out the pieces, in order and without overlap.
pub(super) struct Plan<'a> {
    /// The layers above the base, on a [`Hole`].
    above: &'a dyn Image,
    /// The number of layers above the hole: what lies deeper than it is the base's.
    depth: u16,
    /// Guest bytes that the base had: behind them it is zero.
    base_size: u64,
    /// Pieces begin and end at a multiple of this.
    unit: u64,
    /// Guest bytes of a piece that is copied, at most.
    piece_len: u64,
    /// The end of the base's disk.
    end: u64,
    /// The guest byte up to which everything is handed out, or the base's.
    next: u64,
    /// Extents that are known, from `next` on.
    known: VecDeque<Extent>,
    /// What is known of the holes in the files of the layers above.
    holes: Holes,
}

impl<'a> Plan<'a> {
    /// A plan for what `above` stores in `depth` layers, for a base that had `base_size` bytes and takes whole `unit`s.
    pub(super) fn new(above: &'a dyn Image, depth: u16, base_size: u64, unit: u64) -> Self {
        let piece_len = PIECE_LEN.checked_next_multiple_of(unit).unwrap_or(unit);
        let end = base_size.max(above.size());
        Self { above, depth, base_size, unit, piece_len, end, next: 0, known: VecDeque::new(), holes: Holes::new() }
    }

    /// The next piece, or `None` at the end.
    ///
    /// # Errors
    ///
    /// As [`Image::map`].
    pub(super) fn next_piece(&mut self) -> Result<Option<Piece>> {
        while let Some(extent) = self.extent()? {
            if extent.layer > self.depth || (extent.is_zero() && extent.start >= self.base_size) {
                self.next = extent.end();
                continue;
            }
            let end = extent.end();
            let inner = if end == self.end { end } else { end - end % self.unit };
            let piece = if extent.is_zero() && extent.start.is_multiple_of(self.unit) && inner > extent.start {
                Piece::Zero(extent.start..inner)
            } else {
                let start = (extent.start - extent.start % self.unit).max(self.next - self.next % self.unit);
                let end = end.checked_next_multiple_of(self.unit).unwrap_or(self.end);
                // Of zeros only the unit that others share is copied.
                let len = if extent.is_zero() { self.unit } else { self.piece_len };
                Piece::Copy(start..end.min(start.saturating_add(len)).min(self.end))
            };
            let (Piece::Copy(range) | Piece::Zero(range)) = &piece;
            self.next = range.end;
            return Ok(Some(piece));
        }
        Ok(None)
    }

    /// What lies at the next byte.
    fn extent(&mut self) -> Result<Option<Extent>> {
        while self.known.front().is_some_and(|extent| extent.end() <= self.next) {
            self.known.pop_front();
        }
        if self.known.is_empty() && self.next < self.above.size() {
            let mut answer = Vec::new();
            self.holes.extents(self.above, self.next..self.above.size(), EXTENTS_PER_CALL, &mut answer)?;
            self.known.extend(answer);
        }
        Ok(self.known.front().map(|extent| extent.clipped(&(self.next..u64::MAX))))
    }
}

/// Guest bytes of a piece, unless a unit is larger.
const PIECE_LEN: u64 = 1 << 20;
/// Extents asked for in one call.
const EXTENTS_PER_CALL: usize = 1024;
