//! A target that is written front to back, and nothing else.

use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::target::Target;
use crate::{Error, Result};

/// A pipe that keeps what goes through it. It panics where bytes leave a gap or go back: stricter than
/// [`PipeTarget`](crate::PipeTarget), where some may wait for their turn.
#[derive(Debug, Default)]
pub struct Pipe(Mutex<Vec<u8>>);

impl Pipe {
    /// A copy of what went through.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        self.lock().clone()
    }

    /// The bytes; a panic of another thread while it held them left them whole.
    fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Target for Pipe {
    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        let mut all = self.lock();
        assert_eq!(all.len() as u64, offset, "bytes leave a gap or go back");
        all.extend_from_slice(bytes);
        Ok(())
    }

    fn set_len(&self, _len: u64) -> Result<()> {
        Err(Error::unsupported("a pipe has no length"))
    }

    fn reserve(&self, _range: Range<u64>) -> Result<()> {
        Err(Error::unsupported("a pipe has no space"))
    }

    fn clear(&self, range: Range<u64>) -> Result<()> {
        let len = usize::try_from(range.end - range.start).expect("a test disk fits into memory");
        self.write_at(&vec![0; len], range.start)
    }

    fn sync(&self) -> Result<()> {
        Ok(())
    }

    fn as_file(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn in_order(&self) -> bool {
        true
    }
}
