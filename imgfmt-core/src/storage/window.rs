//! A part of a storage as a storage of its own.

use std::ops::Range;
use std::sync::Arc;

use super::{FileSlice, Segment, Storage, check_bounds};
use crate::{Error, Result};

/// The bytes of one range of another storage, renumbered from 0.
#[derive(Clone, Debug)]
pub struct Window {
    /// What the window looks at.
    inner: Arc<dyn Storage>,
    /// The bytes of `inner` that show; within it.
    range: Range<u64>,
}

impl Window {
    /// The window on `range` of `inner`.
    ///
    /// # Errors
    ///
    /// [`OutOfBounds`](crate::ErrorKind::OutOfBounds) where `range` is reversed or passes the end of `inner`.
    pub fn new(inner: Arc<dyn Storage>, range: Range<u64>) -> Result<Self> {
        if range.start > range.end || range.end > inner.len() {
            let what = format!("a window on bytes {range:?} does not fit into {} bytes", inner.len());
            return Err(Error::out_of_bounds(what).at(range.start));
        }
        Ok(Self { inner, range })
    }
}

impl Storage for Window {
    fn len(&self) -> u64 {
        self.range.end - self.range.start
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        check_bounds(self.len(), offset, buf.len())?;
        self.inner.read_at(buf, self.range.start + offset)
    }

    fn segment(&self, offset: u64) -> Result<Segment> {
        let all = super::segment_to(self.len(), offset, false)?;
        let inner = self.inner.segment(self.range.start + offset)?;
        Ok(Segment { hole: inner.hole, len: inner.len.min(all.len) })
    }

    fn as_file(&self) -> Option<FileSlice<'_>> {
        let inner = self.inner.as_file()?;
        Some(FileSlice { fd: inner.fd, start: inner.start + self.range.start })
    }

    fn as_slice(&self) -> Option<&[u8]> {
        let start = usize::try_from(self.range.start).ok()?;
        let end = usize::try_from(self.range.end).ok()?;
        self.inner.as_slice()?.get(start..end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ErrorKind, MemoryStorage, StorageExt};

    #[test]
    fn a_window_shows_its_range_and_nothing_else() {
        let inner: Arc<dyn Storage> = Arc::new(MemoryStorage::new(*b"0123456789"));
        let window = Window::new(Arc::clone(&inner), 2..6).unwrap();
        assert_eq!(window.read_array::<4>(0).unwrap(), *b"2345");
        assert_eq!(window.as_slice(), Some(&b"2345"[..]));
        assert_eq!(window.read_array::<2>(3).unwrap_err().kind(), ErrorKind::OutOfBounds);
        assert_eq!(window.segment(1).unwrap().len.get(), 3);
        assert!(Window::new(inner, 2..11).is_err());
    }
}
