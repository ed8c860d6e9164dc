//! A medium in memory that is full soon.

use std::ops::Range;
use std::os::fd::BorrowedFd;

use imgfmt_core::{Error, FileSlice, MemoryMedium, Result, Segment, Storage, Target};

/// Bytes in memory that do not become many.
#[derive(Debug)]
pub(crate) struct Small(MemoryMedium);

impl Small {
    /// A medium that holds `bytes`.
    pub(crate) fn new(bytes: &[u8]) -> Self {
        Self(MemoryMedium::new(bytes))
    }

    /// Refuses what would pass the end of the medium.
    fn check(end: u64) -> Result<()> {
        if end <= MAX_LEN {
            return Ok(());
        }
        Err(Error::io("the medium is full", std::io::Error::from(std::io::ErrorKind::StorageFull)))
    }
}

impl Storage for Small {
    fn len(&self) -> u64 {
        Storage::len(&self.0)
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        self.0.read_at(buf, offset)
    }

    fn segment(&self, offset: u64) -> Result<Segment> {
        self.0.segment(offset)
    }

    fn as_file(&self) -> Option<FileSlice<'_>> {
        None
    }

    fn as_slice(&self) -> Option<&[u8]> {
        None
    }
}

impl Target for Small {
    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        Self::check(offset.saturating_add(bytes.len() as u64))?;
        self.0.write_at(bytes, offset)
    }

    fn set_len(&self, len: u64) -> Result<()> {
        Self::check(len)?;
        self.0.set_len(len)
    }

    fn reserve(&self, range: Range<u64>) -> Result<()> {
        self.0.reserve(range)
    }

    fn clear(&self, range: Range<u64>) -> Result<()> {
        self.0.clear(range)
    }

    fn sync(&self) -> Result<()> {
        Ok(())
    }

    fn as_file(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn in_order(&self) -> bool {
        false
    }
}

/// Bytes that the medium has room for: 32 MiB.
const MAX_LEN: u64 = 32 << 20;
