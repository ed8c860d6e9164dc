//! Bytes in memory as [`Storage`].

use std::sync::Arc;

use super::{FileSlice, Segment, Storage, check_bounds, segment_to};
use crate::Result;

/// Bytes in memory, shared without copying.
#[derive(Clone, Debug)]
pub struct MemoryStorage(Arc<Vec<u8>>);

impl MemoryStorage {
    /// The given bytes as a storage.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(Arc::new(bytes.into()))
    }
}

impl Storage for MemoryStorage {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        check_bounds(self.len(), offset, buf.len())?;
        // The bounds are within a slice, so the offset is an index.
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        buf.copy_from_slice(&self.0[start..start + buf.len()]);
        Ok(())
    }

    fn segment(&self, offset: u64) -> Result<Segment> {
        segment_to(self.len(), offset, false)
    }

    fn as_file(&self) -> Option<FileSlice<'_>> {
        None
    }

    fn as_slice(&self) -> Option<&[u8]> {
        Some(&self.0)
    }
}
