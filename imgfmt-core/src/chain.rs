//! Layers flattened to one image.

use std::ops::Range;
use std::sync::Arc;

use crate::compose::{Parts, read_composed};
use crate::extent::{Encoded, Extent, ExtentKind, ExtentSink};
use crate::image::{Image, ImageExt, Kept};
use crate::info::Description;
use crate::storage::Storage;
use crate::{Error, ErrorKind, Result};

/// An image and the layers that it builds on, as one image without a parent.
///
/// What the top layer leaves to its parent is looked for in the next layer, and so on; what the last
/// layer leaves, or what lies behind the end of a shorter layer, is zero. The layer of an
/// [`Extent`] says who answered.
pub struct Chain {
    /// The layers, the top one first.
    parts: Parts,
}

impl Chain {
    /// Flattens `layers`, of which the first is the top.
    ///
    /// # Errors
    ///
    /// [`Invalid`](crate::ErrorKind::Invalid) without any layer.
    pub fn new(layers: Vec<Box<dyn Image>>) -> Result<Self> {
        if layers.is_empty() {
            return Err(Error::invalid("a chain needs a layer"));
        }
        Ok(Self { parts: Parts::new(layers) })
    }

    /// The layers, the top one first.
    #[must_use]
    pub fn layers(&self) -> &[Box<dyn Image>] {
        self.parts.images()
    }

    /// Answers for `range` from layer `index` down.
    fn resolve(&self, index: usize, range: Range<u64>, sink: &mut ExtentSink<'_>) -> Result<()> {
        let layer = u16::try_from(index).unwrap_or(u16::MAX);
        let absent = |range: &Range<u64>| Extent {
            start: range.start,
            len: range.end - range.start,
            layer,
            kind: ExtentKind::Zero { explicit: false },
        };
        let Some(image) = self.layers().get(index) else {
            sink.push_extent(absent(&range));
            return Ok(());
        };
        let within = range.start..range.end.min(image.size()).max(range.start);
        let mut extents = Vec::new();
        let mut next = within.start;
        while next < within.end && !sink.is_full() {
            extents.clear();
            next = image.extents(next..within.end, EXTENTS_PER_LAYER, &mut extents)?;
            for &extent in &extents {
                if sink.is_full() {
                    return Ok(());
                }
                match extent.kind {
                    ExtentKind::Parent => self.resolve(index + 1, extent.start..extent.end(), sink)?,
                    _ => sink.push_extent(Extent { layer, ..self.parts.counted(index, extent) }),
                }
            }
        }
        if within.end < range.end && !sink.is_full() {
            sink.push_extent(absent(&(within.end..range.end)));
        }
        Ok(())
    }
}

impl Image for Chain {
    fn size(&self) -> u64 {
        self.layers()[0].size()
    }

    fn sources(&self) -> &[Arc<dyn Storage>] {
        self.parts.sources()
    }

    fn map(&self, range: Range<u64>, sink: &mut ExtentSink<'_>) -> Result<()> {
        self.resolve(0, range, sink)
    }

    fn stored_body(&self, unit_start: u64, unit: &Encoded, stored: &[u8]) -> Result<Range<usize>> {
        self.parts.stored_body(|_| 0, unit_start, unit, stored)
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        // An image alone knows best how it is read: its map may cost a question to the file system. What it leaves to a parent
        // that is not here is zero.
        if let [only] = self.layers() {
            match only.read_at(buf, offset) {
                Err(error) if error.kind() == ErrorKind::Missing => {}
                done => return done,
            }
        }
        read_composed(self, buf, offset, &|extent, part| {
            self.layers()[usize::from(extent.layer)].read_at(part, extent.start)
        })
    }

    fn describe(&self) -> Description {
        self.layers()[0].describe()
    }

    /// The place is in the layer that answers.
    fn kept(&self, range: Range<u64>) -> Result<Kept> {
        let mut extents = Vec::new();
        self.extents(range.clone(), 1, &mut extents)?;
        let Some(extent) = extents.first() else { return Ok(Kept::nowhere(&range)) };
        let index = usize::from(extent.layer);
        let end = self.layers().get(index).map_or(0, |image| image.size());
        if extent.start >= end {
            return Ok(Kept::nowhere(&(extent.start..extent.end())));
        }
        self.parts.kept(index, extent.start..extent.end().min(end))
    }
}

/// Extents asked of one layer at a time.
const EXTENTS_PER_LAYER: usize = 1024;
