//! Reading a disk within bounds.

use std::cell::{Cell, RefCell};

use imgfmt_core::{ExtentKind, Image, ImageExt, Result};

use crate::found::{Finding, Severity};

/// A disk that gives no more than it is good to read.
pub(crate) struct Disk<'a> {
    /// The disk.
    image: &'a dyn Image,
    /// The first sector, as far as there is one.
    first: Vec<u8>,
    /// Bytes that may still be read.
    left: Cell<u64>,
    /// Bytes that may still be decoded to read them.
    left_to_decode: Cell<u64>,
    /// What could not be read.
    findings: RefCell<Vec<Finding>>,
}

impl<'a> Disk<'a> {
    /// Reads the first sector of `image`.
    pub(crate) fn open(image: &'a dyn Image) -> Result<Self> {
        let mut first = vec![0; usize::try_from(image.size()).unwrap_or(FIRST_LEN).min(FIRST_LEN)];
        image.read_at(&mut first, 0)?;
        let (left, left_to_decode) = (Cell::new(MAX_READ), Cell::new(MAX_DECODED));
        Ok(Self { image, first, left, left_to_decode, findings: RefCell::new(Vec::new()) })
    }

    /// Bytes of the disk.
    pub(crate) fn len(&self) -> u64 {
        self.image.size()
    }

    /// The first sector; empty where the disk has less.
    pub(crate) fn first(&self) -> &[u8] {
        &self.first
    }

    /// Up to `len` bytes from `offset` on: fewer at the end of the disk, none where they cannot be read.
    pub(crate) fn read(&self, offset: u64, len: usize) -> Vec<u8> {
        let there = self.len().saturating_sub(offset);
        let len = usize::try_from(there).unwrap_or(len).min(len);
        if len == 0 {
            return Vec::new();
        }
        let mut bytes = vec![0; len];
        if !take(&self.left, len as u64) || !take(&self.left_to_decode, self.to_decode(offset, len as u64)) {
            self.miss("disk.not-looked-at", offset, "there is more to look at than is read");
            return Vec::new();
        }
        match self.image.read_at(&mut bytes, offset) {
            Ok(()) => bytes,
            Err(error) => {
                self.miss("disk.unreadable", offset, &format!("{len} bytes cannot be read: {error}"));
                Vec::new()
            }
        }
    }

    /// Bytes that have to be decoded to read `len` bytes at `offset`: compressed units are decoded whole, each time.
    fn to_decode(&self, offset: u64, len: u64) -> u64 {
        let mut extents = Vec::new();
        // Reading tells what is wrong with the map.
        let _ = self.image.extents(offset..offset + len, MAX_EXTENTS, &mut extents);
        let units = extents.iter().map(|extent| match extent.kind {
            ExtentKind::Encoded(unit) => u64::from(unit.unit),
            _ => 0,
        });
        units.sum()
    }

    /// Exactly `len` bytes from `offset` on, where they can be had.
    pub(crate) fn read_exact(&self, offset: u64, len: usize) -> Option<Vec<u8>> {
        Some(self.read(offset, len)).filter(|bytes| bytes.len() == len && len > 0)
    }

    /// Takes note of what was not read; once for each kind.
    fn miss(&self, code: &'static str, at: u64, what: &str) {
        let mut findings = self.findings.borrow_mut();
        if findings.iter().all(|finding| finding.code != code) {
            findings.push(Finding { code, severity: Severity::Warning, at: Some(at), what: what.to_owned() });
        }
    }

    /// What was not read.
    pub(crate) fn into_findings(self) -> Vec<Finding> {
        self.findings.into_inner()
    }
}

/// Takes `len` from what is `left`, if there is as much.
fn take(left: &Cell<u64>, len: u64) -> bool {
    let rest = left.get().checked_sub(len);
    left.set(rest.unwrap_or(left.get()));
    rest.is_some()
}

/// Bytes of the first sector.
const FIRST_LEN: usize = 512;
/// Bytes that are read of a disk at most.
const MAX_READ: u64 = 4 << 20;
/// Bytes that are decoded at most: a small file may have large units, and a partition in each sector of one.
const MAX_DECODED: u64 = 1 << 30;
/// Parts of a read that are counted at most; the longest reads have fewer sectors.
const MAX_EXTENTS: usize = 1024;

#[cfg(test)]
mod tests {
    use std::ops::Range;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use imgfmt_core::{Codec, Description, Encoded, Error, ExtentSink, SourceId, Storage};

    use super::*;

    /// A disk of one compressed unit, which counts how often it is read.
    struct OneUnit(AtomicU64);

    impl Image for OneUnit {
        fn size(&self) -> u64 {
            u64::from(UNIT)
        }

        fn sources(&self) -> &[Arc<dyn Storage>] {
            &[]
        }

        fn map(&self, range: Range<u64>, sink: &mut ExtentSink<'_>) -> Result<()> {
            let (source, skip) = (SourceId(0), u32::try_from(range.start).unwrap());
            let unit = Encoded { source, host: 0, stored_len: 1, codec: Codec::Zlib, unit: UNIT, skip };
            sink.push(range.start, range.end - range.start, ExtentKind::Encoded(unit));
            Ok(())
        }

        fn stored_body(&self, _: u64, _: &Encoded, _: &[u8]) -> Result<Range<usize>> {
            Err(Error::malformed("nothing is stored"))
        }

        fn read_at(&self, _: &mut [u8], _: u64) -> Result<()> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Ok(())
        }

        fn describe(&self) -> Description {
            Description::default()
        }
    }

    #[test]
    fn large_units_are_not_decoded_again_and_again() {
        let image = OneUnit(AtomicU64::new(0));
        let disk = Disk::open(&image).unwrap();
        let read = (0..2000).filter(|sector| disk.read_exact(sector * 512, 512).is_some()).count();
        assert_eq!(read, 64);
        assert_eq!(image.0.load(Ordering::Relaxed), 65);
        assert_eq!(disk.into_findings()[0].code, "disk.not-looked-at");
    }

    /// Guest bytes of the unit.
    const UNIT: u32 = 16 << 20;
}
