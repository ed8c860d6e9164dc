//! Host bytes that are edited in place: read and written.

use std::fs::{File, OpenOptions};
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::OFlags;

use crate::lock::{LockedFile, Locking};
use crate::storage::{FileSlice, FileStorage, Segment, Storage, segment_in, segment_to};
use crate::target::{FileTarget, Target};
use crate::{Error, MemoryTarget, Result};

/// One file that is read and written by position.
///
/// As a [`Storage`], it shows what has been written through it, and its length follows.
pub trait Medium: Storage + Target {}

impl<M: Storage + Target> Medium for M {}

/// A regular file or block device to be edited.
#[derive(Debug)]
pub struct FileMedium {
    /// The file, to be read.
    file: LockedFile,
    /// The file, to be written.
    target: FileTarget,
    /// Its length in bytes.
    len: AtomicU64,
}

impl FileMedium {
    /// Opens the file at `path` for reading and writing, and takes the locks of a writer on it unless they are to be
    /// ignored.
    ///
    /// # Errors
    ///
    /// [`Locked`](crate::ErrorKind::Locked) where another program uses the file; what the operating system says where it
    /// cannot be opened for writing; [`Unsupported`](crate::ErrorKind::Unsupported) for anything but a regular file or a
    /// block device.
    pub fn open(path: &Path, locking: Locking) -> Result<Self> {
        let cannot = || format!("cannot open {} for writing", path.display());
        // A pipe is refused below, and not waited for.
        let flags = i32::try_from((OFlags::NONBLOCK | OFlags::NOCTTY).bits()).unwrap_or(0);
        let file = OpenOptions::new().read(true).write(true).custom_flags(flags).open(path);
        let file = file.map_err(|e| Error::io(cannot(), e))?;
        Self::from_file(file, locking).map_err(|e| e.context(cannot()))
    }

    /// Takes over a file that is open for reading and writing.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn from_file(file: File, locking: Locking) -> Result<Self> {
        let twice = |file: &File| file.try_clone().map_err(|e| Error::io("cannot open it a second time", e));
        let len = FileStorage::from_file(twice(&file)?)?.len();
        let target = FileTarget::new(twice(&file)?)?;
        let mut file = LockedFile::from(file);
        file.lock(locking)?;
        Ok(Self { file, target, len: AtomicU64::new(len) })
    }
}

#[deny(clippy::missing_trait_methods)]
impl Storage for FileMedium {
    fn len(&self) -> u64 {
        self.len.load(Ordering::Acquire)
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        use std::os::unix::fs::FileExt;
        self.file.read_exact_at(buf, offset).map_err(|source| match source.kind() {
            std::io::ErrorKind::UnexpectedEof => {
                let (len, end) = (buf.len(), self.len());
                Error::out_of_bounds(format!("{len} bytes are wanted here, but the file ends at byte {end}")).at(offset)
            }
            _ => Error::io(format!("cannot read {} bytes", buf.len()), source).at(offset),
        })
    }

    fn segment(&self, offset: u64) -> Result<Segment> {
        if self.target.is_device() {
            return segment_to(self.len(), offset, false);
        }
        segment_in(&self.file, self.len(), offset)
    }

    fn as_file(&self) -> Option<FileSlice<'_>> {
        Some(FileSlice { fd: self.file.as_fd(), start: 0 })
    }

    fn as_slice(&self) -> Option<&[u8]> {
        None
    }
}

#[deny(clippy::missing_trait_methods)]
impl Target for FileMedium {
    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        self.target.write_at(bytes, offset)?;
        self.len.fetch_max(offset.saturating_add(bytes.len() as u64), Ordering::AcqRel);
        Ok(())
    }

    fn set_len(&self, len: u64) -> Result<()> {
        self.target.set_len(len)?;
        if !self.target.is_device() {
            self.len.store(len, Ordering::Release);
        }
        Ok(())
    }

    fn reserve(&self, range: Range<u64>) -> Result<()> {
        self.target.reserve(range)?;
        let metadata = self.file.metadata().map_err(|e| Error::io("cannot ask how long the file is", e))?;
        self.len.fetch_max(if self.target.is_device() { 0 } else { metadata.len() }, Ordering::AcqRel);
        Ok(())
    }

    fn clear(&self, range: Range<u64>) -> Result<()> {
        // What lies beyond the end is zero already, and stays beyond it.
        let end = range.end.min(self.len());
        if range.start >= end {
            return Ok(());
        }
        self.target.clear(range.start..end)
    }

    fn sync(&self) -> Result<()> {
        self.target.sync()
    }

    fn as_file(&self) -> Option<BorrowedFd<'_>> {
        Some(self.file.as_fd())
    }

    fn in_order(&self) -> bool {
        false
    }

    fn kept_len(&self) -> Option<u64> {
        self.target.kept_len()
    }
}

/// Bytes in memory to be edited, for tests.
#[derive(Debug, Default)]
pub struct MemoryMedium(MemoryTarget);

impl MemoryMedium {
    /// A medium that holds `bytes`.
    ///
    /// # Panics
    ///
    /// Never: the bytes are in memory already.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        let target = MemoryTarget::new();
        target.write_at(bytes, 0).expect("bytes that are in memory fit into memory");
        Self(target)
    }

    /// A copy of the bytes.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        self.0.to_vec()
    }

    /// The bytes.
    #[must_use]
    pub fn into_vec(self) -> Vec<u8> {
        self.0.into_vec()
    }
}

#[deny(clippy::missing_trait_methods)]
impl Storage for MemoryMedium {
    fn len(&self) -> u64 {
        self.0.len()
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        self.0.read_at(buf, offset)
    }

    fn segment(&self, offset: u64) -> Result<Segment> {
        segment_to(self.0.len(), offset, false)
    }

    fn as_file(&self) -> Option<FileSlice<'_>> {
        None
    }

    fn as_slice(&self) -> Option<&[u8]> {
        None
    }
}

#[deny(clippy::missing_trait_methods)]
impl Target for MemoryMedium {
    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        self.0.write_at(bytes, offset)
    }

    fn set_len(&self, len: u64) -> Result<()> {
        self.0.set_len(len)
    }

    fn reserve(&self, range: Range<u64>) -> Result<()> {
        self.0.reserve(range)
    }

    fn clear(&self, range: Range<u64>) -> Result<()> {
        self.0.clear(range)
    }

    fn sync(&self) -> Result<()> {
        self.0.sync()
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

#[cfg(test)]
mod tests {
    use super::*;

    fn exercise(medium: &dyn Medium) {
        medium.write_at(b"abcdef", 4).unwrap();
        assert_eq!(medium.len(), 10);
        medium.clear(6..100).unwrap();
        assert_eq!(medium.len(), 10);
        let mut bytes = [0; 6];
        medium.read_at(&mut bytes, 4).unwrap();
        assert_eq!(&bytes, b"ab\0\0\0\0");
        assert!(medium.read_at(&mut bytes, 5).is_err());
        medium.set_len(3).unwrap();
        assert_eq!(medium.len(), 3);
        assert!(medium.segment(3).is_err());
    }

    #[test]
    fn what_is_written_is_read_and_the_length_follows() {
        exercise(&MemoryMedium::default());
        let file = tempfile::NamedTempFile::new().unwrap();
        exercise(&FileMedium::open(file.path(), Locking::Write).unwrap());
        assert_eq!(std::fs::read(file.path()).unwrap(), [0; 3]);
    }
}
