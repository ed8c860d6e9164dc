//! Guest bytes of an encrypted image.

use std::ops::Range;
use std::sync::Arc;

use imgfmt_core::read::UnitReader;
use imgfmt_core::{
    Description, Encoded, Error, Extent, ExtentKind, ExtentSink, Image, ImageExt, Result, SourceId, Storage,
};
use imgfmt_crypt::read_sectors;

use super::Encryption;
use crate::image::Qcow2Image;

impl Encryption {
    /// Answers for `range` as [`Image::map`] does: what is stored encrypted is opaque.
    ///
    /// # Errors
    ///
    /// As [`Image::map`].
    pub(crate) fn map(image: &Qcow2Image, range: Range<u64>, sink: &mut ExtentSink<'_>) -> Result<()> {
        let mut extents = Vec::new();
        AsStored(image).extents(range, EXTENTS_AT_ONCE, &mut extents)?;
        for extent in extents {
            if sink.is_full() {
                break;
            }
            let hidden = matches!(extent.kind, ExtentKind::Data { .. });
            sink.push_extent(Extent { kind: if hidden { ExtentKind::Opaque } else { extent.kind }, ..extent });
        }
        Ok(())
    }

    /// Fills `buf` with the guest bytes of `image` from `offset` on.
    ///
    /// # Errors
    ///
    /// As [`Image::read_at`]; [`Refused`](imgfmt_core::ErrorKind::Refused) where the image is only described.
    pub(crate) fn read_at(&self, image: &Qcow2Image, buf: &mut [u8], offset: u64) -> Result<()> {
        let image = AsStored(image);
        let mut reader = UnitReader::default();
        let mut extents = Vec::new();
        let end = offset.saturating_add(buf.len() as u64);
        if end > image.size() {
            let (len, size) = (buf.len(), image.size());
            let what = format!("{len} guest bytes from {offset} on pass the end of a disk of {size} bytes");
            return Err(Error::out_of_bounds(what));
        }
        let mut rest = buf;
        let mut next = offset;
        while next < end {
            extents.clear();
            next = image.extents(next..end, EXTENTS_AT_ONCE, &mut extents)?;
            for extent in &extents {
                let (part, behind) =
                    rest.split_at_mut(usize::try_from(extent.len).unwrap_or(usize::MAX).min(rest.len()));
                rest = behind;
                match extent.kind {
                    ExtentKind::Data { source, host } => {
                        self.read_sectors(image.source(source)?, part, host, extent.start)?;
                    }
                    _ => reader.read_extent(&image, extent, part)?,
                }
            }
        }
        Ok(())
    }

    /// Reads and decrypts the bytes at host byte `host`, which show at guest byte `guest`. Both lie equally far into
    /// their sectors.
    fn read_sectors(&self, source: &dyn Storage, buf: &mut [u8], host: u64, guest: u64) -> Result<()> {
        let guest_at = |at: u64| guest.wrapping_add(at.wrapping_sub(host));
        read_sectors(source, buf, host, &|sectors, at| self.decrypt(sectors, at, guest_at(at)))
    }
}

/// The image as it is stored: its map shows where encrypted bytes lie.
struct AsStored<'a>(&'a Qcow2Image);

impl AsStored<'_> {
    /// The storage that `source` counts.
    fn source(&self, source: SourceId) -> Result<&dyn Storage> {
        let found = self.sources().get(source.0 as usize);
        found
            .map(AsRef::as_ref)
            .ok_or_else(|| Error::malformed("an extent lies in a file that the image does not have"))
    }
}

impl Image for AsStored<'_> {
    fn size(&self) -> u64 {
        self.0.size()
    }

    fn sources(&self) -> &[Arc<dyn Storage>] {
        self.0.sources()
    }

    fn map(&self, range: Range<u64>, sink: &mut ExtentSink<'_>) -> Result<()> {
        self.0.map_range(range.start, sink)
    }

    fn stored_body(&self, unit_start: u64, unit: &Encoded, stored: &[u8]) -> Result<Range<usize>> {
        self.0.stored_body(unit_start, unit, stored)
    }

    fn read_at(&self, _buf: &mut [u8], _offset: u64) -> Result<()> {
        Err(Error::unsupported("encrypted bytes are read by the image"))
    }

    fn describe(&self) -> Description {
        self.0.describe()
    }
}

/// Extents asked for in one call.
const EXTENTS_AT_ONCE: usize = 4096;
