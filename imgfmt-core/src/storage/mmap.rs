//! A memory-mapped file as [`Storage`]; opt in with the feature `mmap`.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;

use memmap2::Mmap;

use super::{FileSlice, Segment, Storage, check_bounds, segment_to};
use crate::{Error, Result};

/// A file mapped into memory.
///
/// Only for files that nobody else can change: when another process cuts the file, the next access
/// behind its new end kills this process with SIGBUS, and no error can be returned. That is why
/// [`FileStorage`](crate::FileStorage) is the default everywhere.
#[derive(Debug)]
pub struct MmapStorage {
    /// The file, for copies inside the kernel.
    file: File,
    /// Its bytes.
    map: Mmap,
}

impl MmapStorage {
    /// Maps the whole file at `path`, which the caller knows to stay as it is.
    ///
    /// # Errors
    ///
    /// What the operating system says when it cannot open or map the file.
    pub fn open(path: &Path) -> Result<Self> {
        let cannot = || format!("cannot map {}", path.display());
        let file = File::open(path).map_err(|e| Error::io(cannot(), e))?;
        #[expect(unsafe_code, reason = "a memory map cannot be made without it")]
        // SAFETY: the map is read-only and private to this value. That no other process cuts or writes the
        // file while it is mapped is the caller's promise, stated in this type's documentation.
        let map = unsafe { Mmap::map(&file) }.map_err(|e| Error::io(cannot(), e))?;
        Ok(Self { file, map })
    }
}

impl Storage for MmapStorage {
    fn len(&self) -> u64 {
        self.map.len() as u64
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        check_bounds(self.len(), offset, buf.len())?;
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        buf.copy_from_slice(&self.map[start..start + buf.len()]);
        Ok(())
    }

    fn segment(&self, offset: u64) -> Result<Segment> {
        segment_to(self.len(), offset, false)
    }

    fn as_file(&self) -> Option<FileSlice<'_>> {
        Some(FileSlice { fd: self.file.as_fd(), start: 0 })
    }

    fn as_slice(&self) -> Option<&[u8]> {
        Some(&self.map)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::StorageExt;

    #[test]
    fn a_map_reads_as_its_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), b"0123456789").unwrap();
        let storage = MmapStorage::open(file.path()).unwrap();
        assert_eq!(storage.read_array::<3>(4).unwrap(), *b"456");
        assert!(storage.read_array::<3>(8).is_err());
    }
}
