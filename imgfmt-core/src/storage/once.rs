//! Reads that failed are not tried again.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use super::{FileSlice, Segment, Storage};
use crate::{Error, ErrorKind, Result};

/// A storage of which a read that the operating system failed to do is not tried again: on a bad disk each takes seconds, and a
/// table that cannot be read is asked for again for every unit of the disk that it is about.
#[derive(Debug)]
pub struct Once {
    /// The bytes.
    inner: Arc<dyn Storage>,
    /// Where reads failed, and of how many bytes.
    failed: Mutex<BTreeSet<(u64, usize)>>,
}

impl Once {
    /// The bytes of `inner`.
    #[must_use]
    pub fn new(inner: Arc<dyn Storage>) -> Self {
        Self { inner, failed: Mutex::default() }
    }
}

#[deny(clippy::missing_trait_methods)]
impl Storage for Once {
    fn len(&self) -> u64 {
        self.inner.len()
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        let read = (offset, buf.len());
        if self.failed.lock().unwrap_or_else(PoisonError::into_inner).contains(&read) {
            return Err(Error::new(ErrorKind::Io, format!("{} bytes could not be read before", buf.len())).at(offset));
        }
        let done = self.inner.read_at(buf, offset);
        if done.as_ref().is_err_and(|error| error.kind() == ErrorKind::Io) {
            let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
            if failed.len() < MAX_FAILED {
                failed.insert(read);
            }
        }
        done
    }

    fn segment(&self, offset: u64) -> Result<Segment> {
        self.inner.segment(offset)
    }

    fn as_file(&self) -> Option<FileSlice<'_>> {
        self.inner.as_file()
    }

    fn as_slice(&self) -> Option<&[u8]> {
        self.inner.as_slice()
    }
}

/// Reads that are remembered: 2 MiB of memory. Not a rule of any format.
const MAX_FAILED: usize = 1 << 16;

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::storage::segment_to;

    /// Bytes of which none can be read, and how often that was tried.
    #[derive(Debug, Default)]
    struct Bad(AtomicU64);

    impl Storage for Bad {
        fn len(&self) -> u64 {
            1000
        }

        fn read_at(&self, _buf: &mut [u8], _offset: u64) -> Result<()> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Err(Error::io("cannot read", std::io::Error::other("bad sector")))
        }

        fn segment(&self, offset: u64) -> Result<Segment> {
            segment_to(1000, offset, false)
        }

        fn as_file(&self) -> Option<FileSlice<'_>> {
            None
        }

        fn as_slice(&self) -> Option<&[u8]> {
            None
        }
    }

    #[test]
    fn a_read_that_failed_is_tried_once() {
        let bad = Arc::new(Bad::default());
        let once = Once::new(Arc::clone(&bad) as Arc<dyn Storage>);
        for _ in 0..3 {
            for (len, offset) in [(10, 0), (10, 5), (20, 5)] {
                let error = once.read_at(&mut vec![0; len], offset).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Io);
            }
        }
        assert_eq!(bad.0.load(Ordering::Relaxed), 3);
    }
}
