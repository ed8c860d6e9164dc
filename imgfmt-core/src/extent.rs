//! Extents: what the bytes of a guest range are, and where they are kept.

use std::ops::Range;

use crate::codec::Codec;
use crate::{Error, ErrorKind, Result};

/// Which of an image's [`sources`](crate::Image::sources) holds the bytes: an index into them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SourceId(pub u32);

/// A run of guest bytes that are all of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// First guest byte.
    pub start: u64,
    /// Guest bytes; never 0 in what a sink hands on.
    pub len: u64,
    /// How many layers lie above the one that answers; 0 is the image that was opened.
    pub layer: u16,
    /// What the bytes are.
    pub kind: ExtentKind,
}

impl Extent {
    /// The guest byte after the last.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.start + self.len
    }

    /// Whether the bytes are known to be zero without a look at them.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        matches!(self.kind, ExtentKind::Zero { .. })
    }

    /// The part of this extent within `range`, which overlaps it.
    #[must_use]
    pub fn clipped(self, range: &Range<u64>) -> Self {
        let start = self.start.max(range.start);
        let end = self.end().min(range.end);
        let skipped = start - self.start;
        Self { start, len: end.saturating_sub(start), kind: self.kind.advanced(skipped), ..self }
    }

    /// Whether `next` continues this extent so that the two are one.
    fn continues_with(&self, next: &Self) -> bool {
        self.layer == next.layer
            && match (self.kind, next.kind) {
                (ExtentKind::Encoded(_), _) => false,
                (kind, next) => kind.advanced(self.len) == next,
            }
    }
}

/// What the bytes of an [`Extent`] are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExtentKind {
    /// Stored as they are, from byte `host` of `source` on.
    Data {
        /// Where they are stored.
        source: SourceId,
        /// Host byte of the extent's first byte.
        host: u64,
    },
    /// Stored in compressed form.
    Encoded(Encoded),
    /// Zero, and `explicit` says whether this layer says so itself or merely stores nothing there
    /// and has nothing below.
    Zero {
        /// Whether the layer has an entry for these bytes.
        explicit: bool,
    },
    /// Not in this layer; the parent's bytes show. Never seen in a flattened image.
    Parent,
    /// Only [`Image::read_at`](crate::Image::read_at) can tell, as for encrypted bytes.
    Opaque,
}

impl ExtentKind {
    /// The kind of the bytes that lie `by` bytes further into an extent of this kind.
    fn advanced(self, by: u64) -> Self {
        match self {
            Self::Data { source, host } => Self::Data { source, host: host.saturating_add(by) },
            Self::Encoded(unit) => {
                let skip = u32::try_from(by).unwrap_or(u32::MAX).saturating_add(unit.skip);
                Self::Encoded(Encoded { skip, ..unit })
            }
            other => other,
        }
    }
}

/// A compressed unit, or a part of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// Where it is stored.
    pub source: SourceId,
    /// First host byte of the stored form, with whatever frames it.
    pub host: u64,
    /// Bytes from `host` on that are sure to hold the stored form, clipped to the end of the source.
    pub stored_len: u32,
    /// How it is compressed.
    pub codec: Codec,
    /// Guest bytes of the whole unit once decoded.
    pub unit: u32,
    /// Guest bytes of the unit that lie before the extent.
    pub skip: u32,
}

/// Takes the extents that a driver finds, and enforces the contract of [`Image::map`](crate::Image::map).
///
/// Extents ascend and touch, start exactly at the start of the request, and are clipped to it and
/// joined where they are alike. A driver may push an extent that reaches beyond the request on
/// either side. What breaks the contract is remembered and reported by [`finish`](Self::finish).
#[derive(Debug)]
pub struct ExtentSink<'a> {
    /// Where the extents go; earlier content stays.
    extents: &'a mut Vec<Extent>,
    /// The request.
    range: Range<u64>,
    /// The guest byte that comes next.
    next: u64,
    /// Length of `extents` at which the sink has enough.
    enough: usize,
    /// Length of `extents` at the start: what lies before is not joined with.
    first: usize,
    /// The first breach of the contract.
    fault: Option<String>,
}

impl<'a> ExtentSink<'a> {
    /// A sink for the extents of `range`, appended to `extents`, that has enough after `max` of them.
    pub fn new(range: Range<u64>, max: usize, extents: &'a mut Vec<Extent>) -> Self {
        let first = extents.len();
        Self { next: range.start, range, enough: first.saturating_add(max.max(1)), first, extents, fault: None }
    }

    /// What is still asked for: from the next byte to the end of the request.
    #[must_use]
    pub fn rest(&self) -> Range<u64> {
        self.next..self.range.end
    }

    /// Whether the driver may stop: the request is answered, or enough of it.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.next >= self.range.end || self.extents.len() >= self.enough || self.fault.is_some()
    }

    /// Adds `len` guest bytes from `start` on, all of one `kind`, found in the top layer.
    pub fn push(&mut self, start: u64, len: u64, kind: ExtentKind) {
        self.push_extent(Extent { start, len, layer: 0, kind });
    }

    /// Adds an extent of any layer.
    pub fn push_extent(&mut self, extent: Extent) {
        if self.fault.is_some() {
            return;
        }
        if let Some(fault) = self.breach(&extent) {
            self.fault = Some(fault);
            return;
        }
        let extent = extent.clipped(&(self.next..self.range.end));
        self.next = extent.end();
        match self.extents[self.first..].last_mut() {
            Some(last) if last.continues_with(&extent) => last.len += extent.len,
            _ => self.extents.push(extent),
        }
    }

    /// Says how `extent` breaks the contract, if it does.
    fn breach(&self, extent: &Extent) -> Option<String> {
        let Some(end) = extent.start.checked_add(extent.len) else {
            return Some(format!("an extent of {} bytes at guest byte {} overflows", extent.len, extent.start));
        };
        if extent.start > self.next || end <= self.next || self.next >= self.range.end {
            return Some(format!(
                "an extent covers guest bytes {}..{end} where {} should follow in {:?}",
                extent.start, self.next, self.range
            ));
        }
        match extent.kind {
            ExtentKind::Encoded(unit) if u64::from(unit.skip) + extent.len > u64::from(unit.unit) => Some(format!(
                "a unit of {} bytes is said to give {} bytes from byte {} on",
                unit.unit, extent.len, unit.skip
            )),
            _ => None,
        }
    }

    /// Ends the answer and returns the guest byte up to which it goes.
    ///
    /// # Errors
    ///
    /// [`Malformed`](ErrorKind::Malformed) where the driver broke the contract or gave no extent at
    /// all for a request that is not empty.
    pub fn finish(self) -> Result<u64> {
        if let Some(fault) = self.fault {
            return Err(Error::new(ErrorKind::Malformed, fault));
        }
        if self.next == self.range.start && !self.range.is_empty() {
            return Err(Error::malformed(format!("no extent answers for guest bytes {:?}", self.range)));
        }
        Ok(self.next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ZERO: ExtentKind = ExtentKind::Zero { explicit: false };

    fn data(host: u64) -> ExtentKind {
        ExtentKind::Data { source: SourceId(0), host }
    }

    fn collect(range: Range<u64>, pushed: &[(u64, u64, ExtentKind)]) -> Result<Vec<Extent>> {
        let mut extents = Vec::new();
        let mut sink = ExtentSink::new(range, 100, &mut extents);
        for &(start, len, kind) in pushed {
            sink.push(start, len, kind);
        }
        sink.finish()?;
        Ok(extents)
    }

    #[test]
    fn extents_are_clipped_on_both_sides_and_joined() {
        let extents = collect(10..40, &[(0, 20, data(100)), (20, 10, data(120)), (30, 90, ZERO)]).unwrap();
        assert_eq!(extents.len(), 2);
        assert_eq!((extents[0].start, extents[0].len, extents[0].kind), (10, 20, data(110)));
        assert_eq!((extents[1].start, extents[1].len), (30, 10));
    }

    #[test]
    fn a_clipped_unit_skips_what_was_cut() {
        let unit = Encoded { source: SourceId(0), host: 7, stored_len: 9, codec: Codec::Zlib, unit: 64, skip: 0 };
        let extents = collect(80..100, &[(64, 64, ExtentKind::Encoded(unit))]).unwrap();
        assert_eq!(extents[0].kind, ExtentKind::Encoded(Encoded { skip: 16, ..unit }));
    }

    #[test]
    fn gaps_steps_back_and_empty_answers_are_reported() {
        assert!(collect(0..10, &[(1, 9, ZERO)]).is_err());
        assert!(collect(0..10, &[(0, 5, ZERO), (0, 5, ZERO)]).is_err());
        assert!(collect(0..10, &[]).is_err());
        assert!(collect(0..10, &[(0, 0, ZERO)]).is_err());
        assert!(collect(0..10, &[(u64::MAX, 2, ZERO)]).is_err());
        assert!(collect(0..0, &[]).is_ok());
    }

    #[test]
    fn a_sink_has_enough_after_its_maximum() {
        let mut extents = Vec::new();
        let mut sink = ExtentSink::new(0..100, 2, &mut extents);
        sink.push(0, 10, ZERO);
        assert!(!sink.is_full());
        sink.push(10, 10, data(0));
        assert!(sink.is_full());
        assert_eq!(sink.rest(), 20..100);
        assert_eq!(sink.finish().unwrap(), 20);
    }
}
