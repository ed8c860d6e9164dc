//! Host bytes to read: files, memory, and windows on them.
//!
//! Everything is positional; there is no cursor, so one storage serves any number of threads.

mod file;
mod memory;
#[cfg(feature = "mmap")]
mod mmap;
mod once;
mod pages;
mod spool;
mod window;

use std::fmt::Debug;
use std::num::NonZeroU64;
use std::ops::Range;
use std::os::fd::BorrowedFd;

pub use file::FileStorage;
pub(crate) use file::segment_in;
pub use memory::MemoryStorage;
#[cfg(feature = "mmap")]
pub use mmap::MmapStorage;
pub use once::Once;
pub use pages::Pages;
pub use spool::spool;
pub use window::Window;

use crate::{Error, Result};

/// Host bytes, read by position.
///
/// The length is fixed when the storage is opened. Implementers never move a cursor that another
/// thread could see.
#[expect(clippy::len_without_is_empty, reason = "`StorageExt` has it, so that no wrapper can forget it")]
pub trait Storage: Send + Sync + Debug {
    /// Length in bytes, fixed at open.
    fn len(&self) -> u64;

    /// Fills `buf` with the bytes from `offset` on: all of them, or an error.
    ///
    /// # Errors
    ///
    /// [`OutOfBounds`](crate::ErrorKind::OutOfBounds) where `offset + buf.len()` passes the end, also
    /// when the file has been cut since it was opened; [`Io`](crate::ErrorKind::Io) where the
    /// operating system fails.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()>;

    /// Says whether a hole starts at `offset` (which is below `len`), and for how many bytes that
    /// stays true. A hole reads as zeros; bytes that are no hole may still be zero.
    ///
    /// # Errors
    ///
    /// [`OutOfBounds`](crate::ErrorKind::OutOfBounds) at or beyond the end.
    fn segment(&self, offset: u64) -> Result<Segment>;

    /// The file and the offset in it at which this storage starts, for copies inside the kernel.
    fn as_file(&self) -> Option<FileSlice<'_>>;

    /// All bytes, where they are in memory already.
    fn as_slice(&self) -> Option<&[u8]>;
}

/// What lies at an offset of a [`Storage`], and for how many bytes that stays true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Whether these bytes are a hole and so read as zeros.
    pub hole: bool,
    /// How many bytes are alike, from the asked offset on.
    pub len: NonZeroU64,
}

/// Part of an open file.
#[derive(Clone, Copy, Debug)]
pub struct FileSlice<'a> {
    /// The open file.
    pub fd: BorrowedFd<'a>,
    /// The byte of the file that is byte 0 of the storage.
    pub start: u64,
}

/// Conveniences on every [`Storage`].
pub trait StorageExt: Storage {
    /// Whether there are no bytes at all.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reads `N` bytes from `offset` on.
    ///
    /// # Errors
    ///
    /// As [`Storage::read_at`].
    fn read_array<const N: usize>(&self, offset: u64) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        self.read_at(&mut bytes, offset)?;
        Ok(bytes)
    }

    /// Reads `len` bytes from `offset` on, where `len` has passed [`Limits`](crate::Limits) already.
    ///
    /// The bytes are known to exist before memory is taken for them.
    ///
    /// # Errors
    ///
    /// As [`Storage::read_at`].
    fn read_vec(&self, offset: u64, len: usize) -> Result<Vec<u8>> {
        check_bounds(self.len(), offset, len)?;
        let mut bytes = vec![0; len];
        self.read_at(&mut bytes, offset)?;
        Ok(bytes)
    }

    /// Fills `buf` from `offset` on, with zeros for what lies beyond the end.
    ///
    /// For metadata that its header covers while the file ends inside the last sector or cluster of
    /// it; never for guest data. Returns how many bytes came from the storage.
    ///
    /// # Errors
    ///
    /// [`Io`](crate::ErrorKind::Io) where the operating system fails.
    fn read_padded(&self, buf: &mut [u8], offset: u64) -> Result<usize> {
        let there = usize::try_from(self.len().saturating_sub(offset)).unwrap_or(usize::MAX).min(buf.len());
        let (head, tail) = buf.split_at_mut(there);
        tail.fill(0);
        if !head.is_empty() {
            self.read_at(head, offset)?;
        }
        Ok(there)
    }
}

impl<S: Storage + ?Sized> StorageExt for S {}

/// Whether `storage` is a block device, whose length nobody has chosen for what lies on it.
///
/// # Errors
///
/// [`Io`](crate::ErrorKind::Io) where the operating system fails.
pub fn is_device(storage: &dyn Storage) -> Result<bool> {
    let Some(file) = storage.as_file() else { return Ok(false) };
    let stat = rustix::fs::fstat(file.fd).map_err(|e| Error::io("cannot ask for the type of the file", e.into()))?;
    Ok(rustix::fs::FileType::from_raw_mode(stat.st_mode).is_block_device())
}

/// The range of `len` bytes from `offset` on, for a [`Storage`] that ends at `end`.
///
/// # Errors
///
/// [`OutOfBounds`](crate::ErrorKind::OutOfBounds) where it passes the end.
pub fn check_bounds(end: u64, offset: u64, len: usize) -> Result<Range<u64>> {
    match offset.checked_add(len as u64) {
        Some(last) if last <= end => Ok(offset..last),
        _ => {
            Err(Error::out_of_bounds(format!("{len} bytes are wanted here, but the file ends at byte {end}"))
                .at(offset))
        }
    }
}

/// The segment from `offset` to `end`, or an error when `offset` is not below `end`.
pub(crate) fn segment_to(end: u64, offset: u64, hole: bool) -> Result<Segment> {
    match NonZeroU64::new(end.saturating_sub(offset)) {
        Some(len) => Ok(Segment { hole, len }),
        None => Err(Error::out_of_bounds(format!("the file ends at byte {end}")).at(offset)),
    }
}
