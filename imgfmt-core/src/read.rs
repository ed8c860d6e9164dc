//! Guest bytes by way of the map: what every reader that is not the engine uses.

use std::sync::Arc;

use crate::aligned::AlignedBuf;
use crate::codec::Decoder;
use crate::extent::{Encoded, Extent, ExtentKind, SourceId};
use crate::image::{Image, ImageExt};
use crate::storage::Storage;
use crate::{Error, ErrorKind, Result};

/// Fills `buf` with the guest bytes from `offset` on, by asking [`Image::map`] and following it.
///
/// This is the [`Image::read_at`] of every format whose extents tell everything.
///
/// # Errors
///
/// As [`Image::read_at`]; [`Unsupported`](ErrorKind::Unsupported) where an extent is opaque, since
/// such a format has to read for itself.
pub fn through_map<I: Image + ?Sized>(image: &I, buf: &mut [u8], offset: u64) -> Result<()> {
    let mut reader = UnitReader::default();
    let mut extents = Vec::new();
    let end = end_of_read(image.size(), buf.len(), offset)?;
    let mut next = offset;
    while next < end {
        extents.clear();
        next = image.extents(next..end, crate::image::EXTENTS_AT_ONCE, &mut extents)?;
        for extent in &extents {
            let from = in_memory(extent.start - offset);
            let part = &mut buf[from..from + in_memory(extent.len)];
            reader.read_extent(image, extent, part)?;
        }
    }
    Ok(())
}

/// The guest byte after a read of `len` bytes at `offset`, which must lie within `size`.
pub(crate) fn end_of_read(size: u64, len: usize, offset: u64) -> Result<u64> {
    offset.checked_add(len as u64).filter(|&end| end <= size).ok_or_else(|| {
        Error::out_of_bounds(format!("{len} guest bytes from {offset} on pass the end of a disk of {size} bytes"))
    })
}

/// Converts a length that is bounded by a buffer in memory.
#[expect(clippy::cast_possible_truncation, reason = "the value is within a buffer in memory")]
fn in_memory(len: u64) -> usize {
    len as usize
}

/// Reads the bytes of single extents, with buffers that are used again.
#[derive(Debug, Default)]
pub struct UnitReader {
    /// Decoding contexts.
    decoder: Decoder,
    /// A unit as it is stored.
    stored: AlignedBuf,
    /// A unit as the guest sees it.
    plain: Vec<u8>,
}

impl UnitReader {
    /// Fills `buf`, which is as long as `extent`, with its guest bytes.
    ///
    /// # Errors
    ///
    /// As [`through_map`].
    pub fn read_extent<I: Image + ?Sized>(&mut self, image: &I, extent: &Extent, buf: &mut [u8]) -> Result<()> {
        match extent.kind {
            ExtentKind::Data { source, host } => source_of(image, source)?.read_at(buf, host),
            ExtentKind::Encoded(unit) => self.read_unit(image, extent, &unit, buf),
            ExtentKind::Zero { .. } => {
                buf.fill(0);
                Ok(())
            }
            ExtentKind::Parent => Err(Error::new(
                ErrorKind::Missing,
                format!("guest byte {} is in the parent, and this layer stands alone", extent.start),
            )),
            ExtentKind::Opaque => {
                Err(Error::unsupported(format!("guest byte {} can only be read by its format", extent.start)))
            }
        }
    }

    /// Reads and decodes a unit, and copies the part of it that `extent` shows.
    fn read_unit<I: Image + ?Sized>(
        &mut self,
        image: &I,
        extent: &Extent,
        unit: &Encoded,
        buf: &mut [u8],
    ) -> Result<()> {
        let source = source_of(image, unit.source)?;
        let len = stored_len(source.as_ref(), unit)?;
        self.stored.grow(len);
        let stored = &mut self.stored[..len];
        source.read_at(stored, unit.host)?;
        self.plain.resize(unit.unit as usize, 0);
        decode_unit(image, extent, unit, stored, &mut self.decoder, &mut self.plain)?;
        buf.copy_from_slice(&self.plain[unit.skip as usize..unit.skip as usize + buf.len()]);
        Ok(())
    }
}

/// The storage that `source` counts.
pub(crate) fn source_of<I: Image + ?Sized>(image: &I, source: SourceId) -> Result<&Arc<dyn Storage>> {
    image
        .sources()
        .get(source.0 as usize)
        .ok_or_else(|| Error::malformed(format!("an extent names source {}, which the image does not have", source.0)))
}

/// How many bytes of `unit` can be read: what it may take, clipped to the end of its source.
pub(crate) fn stored_len(source: &dyn Storage, unit: &Encoded) -> Result<usize> {
    let there = source.len().saturating_sub(unit.host).min(u64::from(unit.stored_len));
    if there == 0 {
        let what = format!("a compressed unit starts here, but the file ends at byte {}", source.len());
        return Err(Error::out_of_bounds(what).at(unit.host));
    }
    Ok(in_memory(there))
}

/// Decodes the `stored` bytes of the unit that `extent` is a part of into `plain`, which is as long
/// as the unit. At least the bytes that `extent` shows are filled; returns the stream's place in `stored`.
///
/// # Errors
///
/// As [`Image::stored_body`]; [`Malformed`](ErrorKind::Malformed) where the stream is damaged or ends early.
pub fn decode_unit<I: Image + ?Sized>(
    image: &I,
    extent: &Extent,
    unit: &Encoded,
    stored: &[u8],
    decoder: &mut Decoder,
    plain: &mut [u8],
) -> Result<std::ops::Range<usize>> {
    let body = image.stored_body(extent.start - u64::from(unit.skip), unit, stored)?;
    let damaged = |what: String| Error::malformed(what).at(unit.host);
    let decoded = decoder.decode(unit.codec, &stored[body.clone()], plain).map_err(|fault| {
        damaged(format!("the {} stream of the unit at guest byte {} {fault}", unit.codec, extent.start))
    })?;
    let needed = unit.skip as usize + in_memory(extent.len);
    if decoded < needed {
        return Err(damaged(format!(
            "the {} stream of the unit at guest byte {} ends after {decoded} bytes, of which {needed} are needed",
            unit.codec, extent.start
        )));
    }
    Ok(body)
}
