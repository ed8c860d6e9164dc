//! An image of a pool is read and written as any storage is.

use std::fmt;
use std::num::NonZeroU64;
use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use imgfmt_core::storage::check_bounds;
use imgfmt_core::{Error, FileSlice, Result, Segment, Storage, Target, write_zeros};

use crate::ffi::Image;

/// An open image of a pool.
pub(crate) struct RbdMedium {
    /// The image.
    image: Image,
    /// Its length in bytes.
    len: AtomicU64,
    /// What the last answer said of data.
    known: Mutex<Known>,
    /// Held while the image grows.
    growing: Mutex<()>,
}

/// What has data in a range.
#[derive(Debug, Default)]
struct Known {
    /// The range.
    range: Range<u64>,
    /// The runs in it that have.
    data: Vec<Range<u64>>,
}

impl RbdMedium {
    /// Takes over an open image.
    pub(crate) fn new(image: Image) -> Result<Self> {
        let len = AtomicU64::new(image.size()?);
        Ok(Self { image, len, known: Mutex::default(), growing: Mutex::default() })
    }

    /// What is known of data. A panic of another thread while it held that left it whole.
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the image as long as `end`, where it is shorter, and forgets what was known of data.
    fn begin_writing(&self, end: u64) -> Result<()> {
        if end > self.len() {
            // Of two threads that write behind the end, none makes the image shorter than the other needs it.
            let _alone = self.growing.lock().unwrap_or_else(PoisonError::into_inner);
            if end > self.len() {
                self.set_len(end)?;
            }
        }
        *self.known() = Known::default();
        Ok(())
    }
}

impl fmt::Debug for RbdMedium {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RbdMedium").field("len", &self.len).finish_non_exhaustive()
    }
}

#[deny(clippy::missing_trait_methods)]
impl Storage for RbdMedium {
    fn len(&self) -> u64 {
        self.len.load(Ordering::Acquire)
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        check_bounds(self.len(), offset, buf.len())?;
        let mut done = 0;
        while done < buf.len() {
            let at = offset + done as u64;
            match self.image.read(&mut buf[done..], at).map_err(|e| e.at(at))? {
                0 => return Err(Error::out_of_bounds("the image has become shorter").at(at)),
                read => done += read,
            }
        }
        Ok(())
    }

    fn segment(&self, offset: u64) -> Result<Segment> {
        let end = self.len();
        let mut known = self.known();
        if !known.range.contains(&offset) && offset < end {
            // From the start of an object on: older libraries answer wrongly from within one.
            let start = offset / ASKED_LEN * ASKED_LEN;
            let range = start..end.min(start.saturating_add(ASKED_LEN));
            let data = self.image.data(range.clone()).map_err(|e| e.at(offset))?;
            *known = Known { range, data };
        }
        let segment = known.at(offset);
        segment.ok_or_else(|| Error::out_of_bounds(format!("the image ends at byte {end}")).at(offset))
    }

    fn as_file(&self) -> Option<FileSlice<'_>> {
        None
    }

    fn as_slice(&self) -> Option<&[u8]> {
        None
    }
}

#[deny(clippy::missing_trait_methods)]
impl Target for RbdMedium {
    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        self.begin_writing(offset.saturating_add(bytes.len() as u64))?;
        let mut done = 0;
        while done < bytes.len() {
            let at = offset + done as u64;
            match self.image.write(&bytes[done..], at).map_err(|e| e.at(at))? {
                0 => return Err(Error::new(imgfmt_core::ErrorKind::Io, "nothing is written").at(at)),
                written => done += written,
            }
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> Result<()> {
        if len != self.len() {
            self.image.resize(len)?;
            self.len.store(len, Ordering::Release);
            *self.known() = Known::default();
        }
        Ok(())
    }

    fn reserve(&self, _range: Range<u64>) -> Result<()> {
        Ok(())
    }

    fn clear(&self, range: Range<u64>) -> Result<()> {
        let range = range.start..range.end.min(self.len());
        if range.is_empty() {
            return Ok(());
        }
        self.begin_writing(range.end)?;
        if self.image.write_zeroes(range.clone()).map_err(|e| e.at(range.start))? {
            return Ok(());
        }
        write_zeros(self, range)
    }

    fn sync(&self) -> Result<()> {
        self.image.flush()
    }

    fn as_file(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn in_order(&self) -> bool {
        false
    }

    fn kept_len(&self) -> Option<u64> {
        None
    }
}

impl Known {
    /// What lies at `offset`, and for how long that stays true.
    fn at(&self, offset: u64) -> Option<Segment> {
        if !self.range.contains(&offset) {
            return None;
        }
        let first = self.data.partition_point(|run| run.end <= offset);
        let next = self.data.get(first);
        let hole = !next.is_some_and(|run| run.contains(&offset));
        let end = next.map_or(self.range.end, |run| if hole { run.start } else { run.end });
        NonZeroU64::new(end.min(self.range.end) - offset).map(|len| Segment { hole, len })
    }
}

/// Bytes about which Ceph is asked at once, a multiple of what an object can hold: without a map of its objects, it looks at each
/// of them.
const ASKED_LEN: u64 = 4 << 30;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_between_data_is_a_hole() {
        let known = Known { range: 10..100, data: vec![20..30, 50..120] };
        let at = |offset| known.at(offset).map(|segment| (segment.hole, segment.len.get()));
        for (offset, expected) in [
            (9, None),
            (10, Some((true, 10))),
            (20, Some((false, 10))),
            (29, Some((false, 1))),
            (30, Some((true, 20))),
            (60, Some((false, 40))),
            (100, None),
        ] {
            assert_eq!(at(offset), expected, "{offset}");
        }
    }
}
