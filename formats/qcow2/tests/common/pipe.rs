//! A pipe, for tests.

use std::ops::Range;
use std::sync::Mutex;

use imgfmt_core::{MemoryTarget, Result, Target};

/// A target that has to be written front to back.
#[derive(Debug, Default)]
pub(crate) struct Pipe {
    /// What came through.
    bytes: MemoryTarget,
    /// How many bytes.
    end: Mutex<u64>,
}

impl Pipe {
    /// What came through.
    pub(crate) fn to_vec(&self) -> Vec<u8> {
        self.bytes.to_vec()
    }

    /// Takes the next `len` bytes, which have to be those from `offset` on.
    fn take(&self, offset: u64, len: u64) {
        let mut end = self.end.lock().expect("no writer panics");
        assert_eq!(offset, *end, "bytes are written out of order");
        *end += len;
    }
}

impl Target for Pipe {
    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        self.take(offset, bytes.len() as u64);
        self.bytes.write_at(bytes, offset)
    }

    fn set_len(&self, _len: u64) -> Result<()> {
        panic!("the length of a pipe cannot be set")
    }

    fn reserve(&self, _range: Range<u64>) -> Result<()> {
        panic!("no space can be taken in a pipe")
    }

    fn clear(&self, range: Range<u64>) -> Result<()> {
        self.take(range.start, range.end - range.start);
        self.bytes.set_len(range.end)
    }

    fn sync(&self) -> Result<()> {
        Ok(())
    }

    fn as_file(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        None
    }

    fn in_order(&self) -> bool {
        true
    }
}
