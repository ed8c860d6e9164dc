//! A regular file or block device as [`Storage`].

use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, FileTypeExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;

use super::{FileSlice, Segment, Storage, check_bounds, segment_to};
use crate::lock::{LockedFile, Locking};
use crate::{Error, Result};

/// A regular file or block device, read with positional reads.
///
/// Not a memory map: a file that is cut while it is read is an error here, and a fatal signal there.
#[derive(Debug)]
pub struct FileStorage {
    /// The open file; its cursor means nothing.
    file: LockedFile,
    /// Length at open, in bytes.
    len: u64,
    /// Whether the file system may be asked for holes.
    may_have_holes: bool,
}

impl FileStorage {
    /// Opens the file at `path` for reading.
    ///
    /// # Errors
    ///
    /// [`Missing`](crate::ErrorKind::Missing), [`Refused`](crate::ErrorKind::Refused) or
    /// [`Io`](crate::ErrorKind::Io) from the operating system;
    /// [`Unsupported`](crate::ErrorKind::Unsupported) for anything but a regular file or a block device.
    pub fn open(path: &Path) -> Result<Self> {
        let cannot = || format!("cannot open {}", path.display());
        // Opening a pipe without a writer would wait for one; with O_NONBLOCK it returns, and is refused below.
        let flags = i32::try_from((OFlags::NONBLOCK | OFlags::NOCTTY).bits()).unwrap_or(0);
        let file = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(|e| Error::io(cannot(), e))?;
        Self::from_file(file).map_err(|e| e.context(cannot()))
    }

    /// Opens the file at `path` for reading, with the locks for `locking`.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open), and [`Locked`](crate::ErrorKind::Locked) where another program stands against it.
    pub fn open_locked(path: &Path, locking: Locking) -> Result<Self> {
        Self::open(path)?.lock(locking).map_err(|e| e.context(format!("cannot open {}", path.display())))
    }

    /// Takes the locks for `locking` on the file, until this storage is dropped.
    ///
    /// # Errors
    ///
    /// [`Locked`](crate::ErrorKind::Locked) where another program stands against it.
    pub fn lock(mut self, locking: Locking) -> Result<Self> {
        self.file.lock(locking)?;
        Ok(self)
    }

    /// Takes over an open file.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn from_file(mut file: File) -> Result<Self> {
        let metadata = file.metadata().map_err(|e| Error::io("cannot ask for the type of the file", e))?;
        let kind = metadata.file_type();
        if kind.is_file() {
            return Ok(Self { file: file.into(), len: metadata.len(), may_have_holes: true });
        }
        if kind.is_block_device() {
            let len = file.seek(SeekFrom::End(0)).map_err(|e| Error::io("cannot ask for the size of the device", e))?;
            return Ok(Self { file: file.into(), len, may_have_holes: false });
        }
        let what = if kind.is_dir() {
            "it is a directory"
        } else if kind.is_fifo() || kind.is_socket() {
            "it is a pipe or socket, and an image has to be read at any offset"
        } else {
            "it is neither a regular file nor a block device"
        };
        Err(Error::unsupported(what))
    }

    /// Bytes that the file takes on its file system, holes not counted.
    ///
    /// # Errors
    ///
    /// [`Io`](crate::ErrorKind::Io) from the operating system.
    pub fn allocated(&self) -> Result<u64> {
        use std::os::unix::fs::MetadataExt;
        let metadata = self.file.metadata().map_err(|e| Error::io("cannot ask for the size of the file", e))?;
        Ok(metadata.blocks().saturating_mul(512))
    }
}

impl Storage for FileStorage {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        check_bounds(self.len, offset, buf.len())?;
        self.file.read_exact_at(buf, offset).map_err(|source| match source.kind() {
            std::io::ErrorKind::UnexpectedEof => {
                Error::out_of_bounds("the file has become shorter since it was opened").at(offset)
            }
            _ => Error::io(format!("cannot read {} bytes", buf.len()), source).at(offset),
        })
    }

    fn segment(&self, offset: u64) -> Result<Segment> {
        if self.may_have_holes { segment_in(&self.file, self.len, offset) } else { segment_to(self.len, offset, false) }
    }

    fn as_file(&self) -> Option<FileSlice<'_>> {
        Some(FileSlice { fd: self.file.as_fd(), start: 0 })
    }

    fn as_slice(&self) -> Option<&[u8]> {
        None
    }
}

/// Asks the file system what lies at `offset` of a regular file of `len` bytes.
///
/// # Errors
///
/// As [`Storage::segment`].
pub(crate) fn segment_in(file: &File, len: u64, offset: u64) -> Result<Segment> {
    let all_data = segment_to(len, offset, false)?;
    // The cursor that this moves is never used. A file system without holes says EINVAL or answers
    // that all is data; ENXIO means that nothing but a hole follows.
    let data = match rustix::fs::seek(file, rustix::fs::SeekFrom::Data(offset)) {
        Ok(data) => data.min(len),
        Err(rustix::io::Errno::NXIO) => len,
        Err(_) => return Ok(all_data),
    };
    if data > offset {
        return segment_to(data, offset, true);
    }
    let hole = rustix::fs::seek(file, rustix::fs::SeekFrom::Hole(offset)).unwrap_or(len);
    segment_to(hole.clamp(offset + 1, len), offset, false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    #[test]
    fn holes_are_seen_and_reads_stop_at_the_end() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(1 << 20).unwrap();
        file.write_all_at(&[1; 4096], 512 << 10).unwrap();
        let storage = FileStorage::from_file(file).unwrap();
        let first = storage.segment(0).unwrap();
        assert!(!first.hole || first.len.get() <= 512 << 10);
        assert!(!storage.segment(512 << 10).unwrap().hole);
        assert_eq!(storage.segment(1 << 20).unwrap_err().kind(), ErrorKind::OutOfBounds);
        let error = storage.read_at(&mut [0; 2], (1 << 20) - 1).unwrap_err();
        assert_eq!((error.kind(), error.offset()), (ErrorKind::OutOfBounds, Some((1 << 20) - 1)));
    }

    #[test]
    fn a_directory_and_a_missing_file_are_refused_by_name() {
        assert_eq!(FileStorage::open(Path::new("/")).unwrap_err().kind(), ErrorKind::Unsupported);
        let error = FileStorage::open(Path::new("/nowhere/at-all")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Missing);
        assert!(error.to_string().contains("/nowhere/at-all"));
    }
}
