//! Several images as one: what chains and concatenations share.

use std::ops::Range;
use std::sync::Arc;

use crate::extent::{Encoded, Extent, ExtentKind, SourceId};
use crate::image::{Image, Kept};
use crate::read::UnitReader;
use crate::storage::Storage;
use crate::{Error, Result};

/// Images whose sources are counted through: those of the first, then those of the second, and so on.
pub(crate) struct Parts {
    /// The images.
    images: Vec<Box<dyn Image>>,
    /// For each image, the number of its first source.
    bases: Vec<u32>,
    /// The sources of all images.
    sources: Vec<Arc<dyn Storage>>,
}

impl Parts {
    /// Puts `images` together.
    pub(crate) fn new(images: Vec<Box<dyn Image>>) -> Self {
        let mut bases = Vec::with_capacity(images.len());
        let mut sources = Vec::new();
        for image in &images {
            bases.push(u32::try_from(sources.len()).unwrap_or(u32::MAX));
            sources.extend(image.sources().iter().cloned());
        }
        Self { images, bases, sources }
    }

    /// The images.
    pub(crate) fn images(&self) -> &[Box<dyn Image>] {
        &self.images
    }

    /// The sources of all images.
    pub(crate) fn sources(&self) -> &[Arc<dyn Storage>] {
        &self.sources
    }

    /// An extent of image `index` with its source counted through.
    pub(crate) fn counted(&self, index: usize, extent: Extent) -> Extent {
        let base = self.bases[index];
        let kind = match extent.kind {
            ExtentKind::Data { source, host } => ExtentKind::Data { source: SourceId(source.0 + base), host },
            ExtentKind::Encoded(unit) => {
                ExtentKind::Encoded(Encoded { source: SourceId(unit.source.0 + base), ..unit })
            }
            other => other,
        };
        Extent { kind, ..extent }
    }

    /// As [`Image::kept`], of `range` of image `index`, with its source counted through.
    pub(crate) fn kept(&self, index: usize, range: Range<u64>) -> Result<Kept> {
        let Some((image, base)) = self.images.get(index).zip(self.bases.get(index)) else {
            return Ok(Kept::nowhere(&range));
        };
        let kept = image.kept(range)?;
        Ok(Kept { place: kept.place.map(|(source, host)| (SourceId(source.0 + base), host)), ..kept })
    }

    /// Hands [`Image::stored_body`] to the image that `unit` is from. `start_of` gives the byte of the whole
    /// at which an image starts.
    pub(crate) fn stored_body(
        &self,
        start_of: impl Fn(usize) -> u64,
        unit_start: u64,
        unit: &Encoded,
        stored: &[u8],
    ) -> Result<Range<usize>> {
        // Images without sources share their base with the next; the last one that starts at or before is the owner.
        let index = self.bases.partition_point(|&base| base <= unit.source.0).saturating_sub(1);
        let (Some(image), Some(base)) = (self.images.get(index), self.bases.get(index)) else {
            return Err(Error::malformed("an extent names a source that no image has"));
        };
        let own = Encoded { source: SourceId(unit.source.0 - base), ..*unit };
        image.stored_body(unit_start - start_of(index), &own, stored)
    }
}

/// Fills `buf` from the extents of `image`; what is opaque is read by `opaque(extent, part)`.
pub(crate) fn read_composed(
    image: &dyn Image,
    buf: &mut [u8],
    offset: u64,
    opaque: &dyn Fn(&Extent, &mut [u8]) -> Result<()>,
) -> Result<()> {
    use crate::image::ImageExt;
    let end = crate::read::end_of_read(image.size(), buf.len(), offset)?;
    if buf.is_empty() {
        return Ok(());
    }
    let mut reader = UnitReader::default();
    let mut rest = buf;
    image.visit_extents(offset..end, &mut |extent| {
        let len = usize::try_from(extent.len).unwrap_or(usize::MAX);
        let (part, after) = std::mem::take(&mut rest).split_at_mut(len);
        rest = after;
        match extent.kind {
            ExtentKind::Opaque => opaque(&extent, part),
            _ => reader.read_extent(image, &extent, part),
        }
    })
}
