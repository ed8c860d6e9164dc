//! Reading: all bytes are opaque, and decrypted sector by sector.

use std::ops::Range;
use std::sync::Arc;

use imgfmt_core::{Description, Encoded, Error, ExtentKind, ExtentSink, Image, Result, Storage};
use imgfmt_crypt::{LuksHeader, SECTOR_LEN, SectorCipher, read_sectors};

use crate::{NAME, open, options};

/// An open container.
pub(crate) struct LuksImage {
    /// The file.
    sources: [Arc<dyn Storage>; 1],
    /// Its header.
    header: LuksHeader,
    /// The cipher; none where the container was only opened to be described.
    cipher: Option<Arc<dyn SectorCipher>>,
}

impl LuksImage {
    /// The container with that header.
    pub(crate) fn new(storage: Arc<dyn Storage>, header: LuksHeader, cipher: Option<Arc<dyn SectorCipher>>) -> Self {
        Self { sources: [storage], header, cipher }
    }
}

impl Image for LuksImage {
    fn size(&self) -> u64 {
        open::size_of(self.header.payload_offset, self.sources[0].len())
    }

    fn sources(&self) -> &[Arc<dyn Storage>] {
        &self.sources
    }

    fn map(&self, range: Range<u64>, sink: &mut ExtentSink<'_>) -> Result<()> {
        if range.start < range.end {
            sink.push(range.start, range.end - range.start, ExtentKind::Opaque);
        }
        Ok(())
    }

    fn stored_body(&self, _unit_start: u64, _unit: &Encoded, _stored: &[u8]) -> Result<Range<usize>> {
        Err(Error::malformed("a LUKS container has no compressed units").in_format(NAME))
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        let size = self.size();
        if offset.checked_add(buf.len() as u64).is_none_or(|end| end > size) {
            let what = format!("{} guest bytes from {offset} on pass the end of a disk of {size} bytes", buf.len());
            return Err(Error::out_of_bounds(what).in_format(NAME));
        }
        let cipher = self.cipher.as_ref().ok_or_else(|| options::no_secret().in_format(NAME))?;
        let start = self.header.payload_offset;
        let read = read_sectors(self.sources[0].as_ref(), buf, start + offset, &|sectors, at| {
            cipher.decrypt(sectors, (at - start) / SECTOR_LEN as u64);
            Ok(())
        });
        read.map_err(|e| e.in_format(NAME))
    }

    fn describe(&self) -> Description {
        let specific = self.header.to_json();
        Description { format: NAME, encrypted: true, specific, ..Description::default() }
    }
}

/// Debug output without keys.
impl std::fmt::Debug for LuksImage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LuksImage").field("open", &self.cipher.is_some()).finish_non_exhaustive()
    }
}
