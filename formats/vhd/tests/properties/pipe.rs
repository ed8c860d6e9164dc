//! A target that is written front to back.

use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::sync::Mutex;

use imgfmt_core::{Error, Result, Target};

/// A pipe that takes bytes in order, and fails for anything else.
#[derive(Debug, Default)]
pub(crate) struct Pipe(pub(crate) Mutex<Vec<u8>>);

impl Target for Pipe {
    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        let mut all = self.0.lock().unwrap();
        assert_eq!(all.len() as u64, offset, "bytes leave a gap or go back");
        all.extend(bytes);
        Ok(())
    }

    fn set_len(&self, _len: u64) -> Result<()> {
        Err(Error::unsupported("a pipe has no length"))
    }

    fn reserve(&self, _range: Range<u64>) -> Result<()> {
        Err(Error::unsupported("a pipe has no space"))
    }

    fn clear(&self, range: Range<u64>) -> Result<()> {
        self.write_at(&vec![0; usize::try_from(range.end - range.start).unwrap()], range.start)
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
