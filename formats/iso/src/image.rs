//! The disc as a disk: byte n of the user is guest byte n.

use std::ops::Range;
use std::sync::Arc;

use imgfmt_core::{Description, Encoded, Error, ExtentKind, ExtentSink, Image, Result, SourceId, Storage};

use crate::NAME;
use crate::disc::{Disc, Framing};

/// The image of a disc.
pub(crate) struct IsoImage {
    /// The disc.
    disc: Disc,
    /// Its file, as the one source.
    sources: [Arc<dyn Storage>; 1],
    /// What is to be said about it.
    description: Description,
}

impl IsoImage {
    /// The image of `disc`.
    pub(crate) fn new(disc: Disc, description: Description) -> Self {
        Self { sources: [Arc::clone(&disc.storage)], disc, description }
    }
}

impl Image for IsoImage {
    fn size(&self) -> u64 {
        self.disc.len()
    }

    fn sources(&self) -> &[Arc<dyn Storage>] {
        &self.sources
    }

    fn map(&self, range: Range<u64>, sink: &mut ExtentSink<'_>) -> Result<()> {
        if self.disc.framing != Framing::Plain {
            // Each sector says for itself whether it has data, and where: an extent for each would be thousands.
            sink.push(range.start, range.end - range.start, ExtentKind::Opaque);
            return Ok(());
        }
        let mut next = range.start;
        while next < range.end && !sink.is_full() {
            let segment = self.disc.storage.segment(next)?;
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
        Err(Error::malformed("the image of a disc has no compressed units").in_format(NAME))
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        self.disc.read_at(buf, offset).map_err(|e| e.in_format(NAME))
    }

    fn describe(&self) -> Description {
        self.description.clone()
    }
}
