//! Reading: the map is the file's own holes.

use std::ops::Range;
use std::sync::Arc;

use imgfmt_core::{Description, Encoded, Error, ExtentKind, ExtentSink, Image, Result, SourceId, Storage};

use crate::NAME;

/// A raw image.
pub(crate) struct RawImage {
    /// The file, as the one source.
    sources: [Arc<dyn Storage>; 1],
}

impl RawImage {
    /// The image in `storage`.
    pub(crate) fn new(storage: Arc<dyn Storage>) -> Self {
        Self { sources: [storage] }
    }
}

impl Image for RawImage {
    fn size(&self) -> u64 {
        self.sources[0].len()
    }

    fn sources(&self) -> &[Arc<dyn Storage>] {
        &self.sources
    }

    fn map(&self, range: Range<u64>, sink: &mut ExtentSink<'_>) -> Result<()> {
        let mut next = range.start;
        while next < range.end && !sink.is_full() {
            let segment = self.sources[0].segment(next)?;
            let kind = if segment.hole {
                ExtentKind::Zero { explicit: false }
            } else {
                ExtentKind::Data { source: SourceId(0), host: next }
            };
            sink.push(next, segment.len.get(), kind);
            next = next.saturating_add(segment.len.get());
        }
        Ok(())
    }

    fn stored_body(&self, _unit_start: u64, _unit: &Encoded, _stored: &[u8]) -> Result<Range<usize>> {
        Err(Error::malformed("a raw image has no compressed units").in_format(NAME))
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        self.sources[0].read_at(buf, offset)
    }

    fn describe(&self) -> Description {
        Description { format: NAME, ..Description::default() }
    }
}
