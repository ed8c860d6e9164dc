//! Plain to plain on files: the kernel copies, or shares the blocks where the file system can.

use std::os::fd::BorrowedFd;

use rustix::fs::{copy_file_range, fstat, fstatfs};
use rustix::io::Errno;

use crate::aligned::AlignedBuf;
use crate::image::Image;
use crate::storage::{FileSlice, Storage};
use crate::target::Target;
use crate::{Error, Result};

/// Who copies bytes that are stored alike on both sides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KernelCopy {
    /// The kernel where the file system shares blocks, so that nothing is read or written; else we, and
    /// find zeros on the way.
    #[default]
    Auto,
    /// The kernel wherever both sides are files. Zeros in the data are not found.
    Always,
    /// Never the kernel.
    Never,
}

impl KernelCopy {
    /// Whether bytes of `source` shall go to `target` by the kernel. Depends on nothing that changes while a
    /// conversion runs, or the output would too.
    pub(super) fn applies(self, source: &dyn Image, target: &dyn Target) -> bool {
        let Some(to) = target.as_file() else { return false };
        let files: Option<Vec<_>> = source.sources().iter().map(|source| source.as_file()).collect();
        let Some(files) = files else { return false };
        match self {
            Self::Never => false,
            Self::Always => true,
            Self::Auto => files.iter().all(|from| shares_blocks(from, to)),
        }
    }
}

/// Whether the file system can let two files have the same blocks.
fn shares_blocks(from: &FileSlice<'_>, to: BorrowedFd<'_>) -> bool {
    let same = || -> rustix::io::Result<bool> { Ok(fstat(from.fd)?.st_dev == fstat(to)?.st_dev) };
    let kind = || fstatfs(to).map(|stat| u64::try_from(stat.f_type).unwrap_or(0));
    same().unwrap_or(false) && kind().is_ok_and(|kind| SHARING_FILE_SYSTEMS.contains(&kind))
}

/// Copies `len` bytes from byte `from` of `source` to byte `to` of `target`, both files. Where the kernel
/// cannot, as between some file systems, the bytes are read and written.
///
/// # Errors
///
/// As [`Storage::read_at`] and [`Target::write_at`].
pub(super) fn copy(source: &dyn Storage, from: u64, target: &dyn Target, to: u64, len: u64) -> Result<()> {
    let (Some(input), Some(output)) = (source.as_file(), target.as_file()) else {
        return copy_by_hand(source, from, target, to, len);
    };
    let mut done = 0;
    while done < len {
        let (mut at, mut place) = (input.start + from + done, to + done);
        let step = usize::try_from(len - done).unwrap_or(usize::MAX);
        match copy_file_range(input.fd, Some(&mut at), output, Some(&mut place), step) {
            Ok(0) => {
                return Err(Error::out_of_bounds("the file has become shorter since it was opened").at(from + done));
            }
            Ok(copied) => done += copied as u64,
            Err(Errno::INTR) => {}
            Err(Errno::XDEV | Errno::OPNOTSUPP | Errno::INVAL | Errno::NOSYS | Errno::PERM | Errno::TXTBSY) => {
                return copy_by_hand(source, from + done, target, to + done, len - done);
            }
            Err(error) => {
                return Err(Error::io(format!("cannot copy {} bytes", len - done), error.into()).at(to + done));
            }
        }
    }
    Ok(())
}

/// Copies through memory.
fn copy_by_hand(source: &dyn Storage, from: u64, target: &dyn Target, to: u64, len: u64) -> Result<()> {
    let mut buffer = AlignedBuf::zeroed(usize::try_from(len).unwrap_or(usize::MAX).min(BUFFER_LEN));
    let mut done = 0;
    while done < len {
        let part = usize::try_from(len - done).unwrap_or(usize::MAX).min(buffer.len());
        source.read_at(&mut buffer[..part], from + done)?;
        target.write_at(&buffer[..part], to + done)?;
        done += part as u64;
    }
    Ok(())
}

/// `f_type` of file systems that share blocks between files: XFS, Btrfs, bcachefs, OCFS2. One that cannot
/// after all, such as an old XFS, copies.
const SHARING_FILE_SYSTEMS: [u64; 4] = [0x5846_5342, 0x9123_683e, 0xca45_1a4e, 0x7461_636f];
/// Bytes copied through memory at once.
const BUFFER_LEN: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::FileStorage;
    use crate::target::FileTarget;

    #[test]
    fn the_kernel_and_the_hand_copy_the_same_bytes() {
        let bytes: Vec<u8> = (0..300_000u32).map(|i| (i * 7 % 251) as u8).collect();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &bytes).unwrap();
        let source = FileStorage::open(file.path()).unwrap();
        for by in [copy, copy_by_hand] {
            let out = tempfile::NamedTempFile::new().unwrap();
            let target = FileTarget::new(out.reopen().unwrap()).unwrap();
            by(&source, 1000, &target, 17, 250_000).unwrap();
            assert_eq!(std::fs::read(out.path()).unwrap()[17..], bytes[1000..251_000]);
            assert!(by(&source, 299_999, &target, 0, 2).is_err());
        }
    }
}
