//! A disk that nothing is stored of.

use std::ops::Range;
use std::sync::Arc;

use crate::extent::{Encoded, Extent, ExtentKind, ExtentSink};
use crate::image::{Image, Kept};
use crate::info::Description;
use crate::read::end_of_read;
use crate::storage::Storage;
use crate::{Error, Result};

/// A disk of any size that reads as zeros and takes no memory.
#[derive(Clone, Copy, Debug)]
pub struct Blank {
    /// Guest bytes.
    size: u64,
    /// How many layers lie above the one that is said to answer.
    layer: u16,
}

impl Blank {
    /// A blank disk of `size` bytes.
    #[must_use]
    pub fn new(size: u64) -> Self {
        Self { size, layer: 0 }
    }

    /// The same disk, of which everything lies in the layer with that many above it: for new images that leave it all to
    /// what they build on.
    #[must_use]
    pub fn in_layer(self, layer: u16) -> Self {
        Self { layer, ..self }
    }
}

#[deny(clippy::missing_trait_methods)]
impl Image for Blank {
    fn size(&self) -> u64 {
        self.size
    }

    fn sources(&self) -> &[Arc<dyn Storage>] {
        &[]
    }

    fn map(&self, range: Range<u64>, sink: &mut ExtentSink<'_>) -> Result<()> {
        let kind = ExtentKind::Zero { explicit: false };
        sink.push_extent(Extent { start: range.start, len: range.end - range.start, layer: self.layer, kind });
        Ok(())
    }

    fn stored_body(&self, _unit_start: u64, _unit: &Encoded, _stored: &[u8]) -> Result<Range<usize>> {
        Err(Error::malformed("a blank disk has no compressed units"))
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        end_of_read(self.size, buf.len(), offset)?;
        buf.fill(0);
        Ok(())
    }

    fn describe(&self) -> Description {
        Description::default()
    }

    fn kept(&self, range: Range<u64>) -> Result<Kept> {
        Ok(Kept::nowhere(&range))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::ImageExt;

    #[test]
    fn a_blank_disk_is_one_extent_however_large() {
        let disk = Blank::new(1 << 62).in_layer(1);
        let mut extents = Vec::new();
        assert_eq!(disk.extents(5..1 << 62, 10, &mut extents).unwrap(), 1 << 62);
        assert_eq!((extents.len(), extents[0].layer), (1, 1));
        let mut bytes = [1; 4];
        disk.read_at(&mut bytes, (1 << 62) - 4).unwrap();
        assert_eq!(bytes, [0; 4]);
        assert!(disk.read_at(&mut bytes, (1 << 62) - 3).is_err());
    }
}
