//! Host bytes to write: the other side of [`Storage`](crate::Storage), kept apart so that readers stay small.

mod pipe;
mod reserve;
mod zeros;

use std::fmt::Debug;
use std::fs::File;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileExt, FileTypeExt};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::FallocateFlags;

pub use pipe::PipeTarget;
pub use zeros::write_zeros;

use crate::{Error, ErrorKind, Result};

/// Host bytes that can be written at any place, by any number of threads.
pub trait Target: Send + Sync + Debug {
    /// Writes all of `bytes` from `offset` on; the target grows where that passes its end.
    ///
    /// # Errors
    ///
    /// [`Io`](ErrorKind::Io) where the operating system fails, as for a full disk.
    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()>;

    /// Makes the target `len` bytes long, with zeros where it grows.
    ///
    /// # Errors
    ///
    /// [`Io`](ErrorKind::Io); [`OutOfBounds`](ErrorKind::OutOfBounds) for a device that is shorter.
    fn set_len(&self, len: u64) -> Result<()>;

    /// Takes space for `range`, to which nobody writes meanwhile; bytes that hold data keep it. A file system that has no way to
    /// take space has zeros written, and a file that ends before `range` does is longer then.
    ///
    /// # Errors
    ///
    /// [`Io`](ErrorKind::Io), also where the file system cannot do it.
    fn reserve(&self, range: Range<u64>) -> Result<()>;

    /// Makes `range` read as zeros, giving its space back where the file system can.
    ///
    /// # Errors
    ///
    /// [`Io`](ErrorKind::Io).
    fn clear(&self, range: Range<u64>) -> Result<()>;

    /// Puts everything that was written onto the medium.
    ///
    /// # Errors
    ///
    /// [`Io`](ErrorKind::Io): then it cannot be known what is there.
    fn sync(&self) -> Result<()>;

    /// The file, for copies inside the kernel.
    fn as_file(&self) -> Option<BorrowedFd<'_>>;

    /// Whether bytes have to be written front to back, as into a pipe. Writers then have [`Order::Ordered`](crate::Order),
    /// and leave no gap: [`clear`](Self::clear) fills what is to be zero.
    fn in_order(&self) -> bool;

    /// Its length in bytes, where that stays whatever is written, as that of a device; `None` for a file, which ends where its
    /// image does.
    fn kept_len(&self) -> Option<u64> {
        None
    }
}

/// A regular file or block device as a target.
#[derive(Debug)]
pub struct FileTarget {
    /// The open file.
    file: File,
    /// The size of a block device, which cannot grow.
    device_len: Option<u64>,
    /// Whether blocks are taken before a long write.
    takes_ahead: AtomicBool,
}

impl FileTarget {
    /// Takes over a file that is open for writing.
    ///
    /// # Errors
    ///
    /// [`Unsupported`](ErrorKind::Unsupported) for what is neither a regular file nor a block device.
    pub fn new(file: File) -> Result<Self> {
        use std::io::{Seek, SeekFrom};
        let kind = file.metadata().map_err(|e| Error::io("cannot ask for the type of the target", e))?.file_type();
        let device_len = if kind.is_file() {
            None
        } else if kind.is_block_device() {
            Some((&file).seek(SeekFrom::End(0)).map_err(|e| Error::io("cannot ask for the size of the device", e))?)
        } else {
            return Err(Error::unsupported("the target is neither a regular file nor a block device"));
        };
        let takes_ahead = device_len.is_none() && writes_faster_into_space(&file);
        Ok(Self { file, device_len, takes_ahead: AtomicBool::new(takes_ahead) })
    }

    /// Whether it is a device, whose length stays.
    pub(crate) fn is_device(&self) -> bool {
        self.device_len.is_some()
    }

    /// Takes blocks for a long write, all at once; without it the file system counts them one by one. A failure is
    /// left to the write to tell.
    fn take_ahead(&self, len: usize, offset: u64) {
        if len < TAKE_AHEAD_LEN || !self.takes_ahead.load(Ordering::Relaxed) {
            return;
        }
        if rustix::fs::fallocate(&self.file, FallocateFlags::KEEP_SIZE, offset, len as u64).is_err() {
            self.takes_ahead.store(false, Ordering::Relaxed);
        }
    }
}

impl Target for FileTarget {
    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        self.take_ahead(bytes.len(), offset);
        self.file
            .write_all_at(bytes, offset)
            .map_err(|e| Error::io(format!("cannot write {} bytes", bytes.len()), e).at(offset))
    }

    fn set_len(&self, len: u64) -> Result<()> {
        match self.device_len {
            None => self.file.set_len(len).map_err(|e| Error::io(format!("cannot make the file {len} bytes long"), e)),
            Some(device) if len <= device => Ok(()),
            Some(device) => {
                let what = format!("the image takes {len} bytes, and the device has {device}");
                Err(Error::out_of_bounds(what))
            }
        }
    }

    fn reserve(&self, range: Range<u64>) -> Result<()> {
        if self.device_len.is_some() || range.is_empty() {
            return Ok(());
        }
        reserve::reserve(&self.file, &range).map_err(|e| Error::io(format!("cannot take space for bytes {range:?}"), e))
    }

    fn clear(&self, range: Range<u64>) -> Result<()> {
        if range.is_empty() {
            return Ok(());
        }
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        match rustix::fs::fallocate(&self.file, flags, range.start, range.end - range.start) {
            Ok(()) => Ok(()),
            Err(_) => write_zeros(self, range),
        }
    }

    fn sync(&self) -> Result<()> {
        self.file.sync_all().map_err(|e| Error::io("cannot flush what was written", e))
    }

    fn as_file(&self) -> Option<BorrowedFd<'_>> {
        Some(self.file.as_fd())
    }

    fn in_order(&self) -> bool {
        false
    }

    fn kept_len(&self) -> Option<u64> {
        self.device_len
    }
}

/// Whether the file system is ext4, which writes into blocks that are taken at three quarters of what it costs to take them
/// page by page. Others take blocks by runs anyway, or write zeros to take them.
fn writes_faster_into_space(file: &File) -> bool {
    rustix::fs::fstatfs(file).is_ok_and(|stat| u64::try_from(stat.f_type) == Ok(EXT4_MAGIC))
}

/// A target in memory, for tests and small images.
#[derive(Debug, Default)]
pub struct MemoryTarget(Mutex<Vec<u8>>);

impl MemoryTarget {
    /// An empty target.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A copy of the bytes.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        self.lock().clone()
    }

    /// The bytes.
    pub(crate) fn into_vec(self) -> Vec<u8> {
        self.0.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// How many bytes there are.
    pub(crate) fn len(&self) -> u64 {
        self.lock().len() as u64
    }

    /// Fills `buf` with the bytes from `offset` on.
    pub(crate) fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        let all = self.lock();
        let range = crate::storage::check_bounds(all.len() as u64, offset, buf.len())?;
        buf.copy_from_slice(&all[Self::index(range.start)?..Self::index(range.end)?]);
        Ok(())
    }

    /// The bytes; a panic of another thread while it held them left them whole.
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// A byte position as an index, which memory can hold.
    fn index(offset: u64) -> Result<usize> {
        usize::try_from(offset)
            .ok()
            .filter(|&offset| offset <= MEMORY_MAX)
            .ok_or_else(|| Error::new(ErrorKind::LimitExceeded, "the target in memory would grow too large").at(offset))
    }
}

impl Target for MemoryTarget {
    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        let start = Self::index(offset)?;
        let end = Self::index(offset.saturating_add(bytes.len() as u64))?;
        let mut all = self.lock();
        // Bytes behind the end are copied once: `resize` writes them one by one in a debug build, which tests feel.
        let known = bytes.len().min(all.len().saturating_sub(start));
        if all.len() < end {
            grow(&mut all, start);
        }
        all[start..start + known].copy_from_slice(&bytes[..known]);
        all.extend_from_slice(&bytes[known..]);
        Ok(())
    }

    fn set_len(&self, len: u64) -> Result<()> {
        let len = Self::index(len)?;
        let mut all = self.lock();
        grow(&mut all, len);
        all.truncate(len);
        Ok(())
    }

    fn reserve(&self, _range: Range<u64>) -> Result<()> {
        Ok(())
    }

    fn clear(&self, range: Range<u64>) -> Result<()> {
        let mut all = self.lock();
        let end = Self::index(range.end)?.min(all.len());
        let start = Self::index(range.start)?.min(end);
        all[start..end].fill(0);
        Ok(())
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

/// Makes `bytes` at least `len` bytes long, with zeros at the end.
fn grow(bytes: &mut Vec<u8>, len: usize) {
    bytes.extend_from_slice(&vec![0; len.saturating_sub(bytes.len())]);
}

/// Shortest write for which blocks are taken before it: below, the call costs what it saves.
const TAKE_AHEAD_LEN: usize = 128 << 10;
/// `f_type` of ext4, and of ext2 and ext3, which refuse to take space.
const EXT4_MAGIC: u64 = 0xef53;
/// Largest target in memory, in bytes: 1 GiB, so that a wild offset is an error and not an abort.
const MEMORY_MAX: usize = 1 << 30;

#[cfg(test)]
mod tests {
    use super::*;

    fn exercise(target: &dyn Target) {
        target.write_at(b"abcdef", 4).unwrap();
        target.set_len(20).unwrap();
        target.clear(6..8).unwrap();
        target.sync().unwrap();
    }

    #[test]
    fn a_file_and_memory_hold_the_same_bytes() {
        let memory = MemoryTarget::new();
        exercise(&memory);
        let file = tempfile::NamedTempFile::new().unwrap();
        exercise(&FileTarget::new(file.reopen().unwrap()).unwrap());
        assert_eq!(memory.to_vec(), std::fs::read(file.path()).unwrap());
        assert_eq!(&memory.to_vec()[..12], b"\0\0\0\0ab\0\0ef\0\0");
    }

    #[test]
    fn a_wild_offset_in_memory_is_an_error() {
        assert!(MemoryTarget::new().write_at(b"x", u64::MAX).is_err());
    }
}
