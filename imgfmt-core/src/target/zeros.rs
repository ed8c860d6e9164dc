//! Zeros that take space.

use std::fs::File;
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::FileExt;

use rustix::fs::{Mode, OFlags};

use super::Target;
use crate::Result;
use crate::aligned::AlignedBuf;

/// Writes zeros over `range` of `target`, so that the file system has space for them.
///
/// Many of them go past the system's cache: nobody is about to read them, and from there they would have to be fetched again
/// when the file is flushed.
///
/// # Errors
///
/// As [`Target::write_at`].
pub fn write_zeros(target: &dyn Target, range: Range<u64>) -> Result<()> {
    let whole = range.start.next_multiple_of(BLOCK_LEN)..range.end.saturating_sub(1) / BLOCK_LEN * BLOCK_LEN;
    if whole.end.saturating_sub(whole.start) < DIRECT_LEN {
        return write_cached(target, range);
    }
    write_cached(target, range.start..whole.start)?;
    let done = target.as_file().map_or(whole.start, |file| write_directly(file, &whole));
    // There is a rest always: a target that keeps its length in mind hears of it.
    write_cached(target, done..range.end)
}

/// Writes zeros as anything is written.
fn write_cached(target: &dyn Target, range: Range<u64>) -> Result<()> {
    let zeros = vec![0; part_of(&range, CACHED_LEN)];
    let mut next = range.start;
    while next < range.end {
        let len = part_of(&(next..range.end), CACHED_LEN);
        target.write_at(&zeros[..len], next)?;
        next += len as u64;
    }
    Ok(())
}

/// Writes zeros over blocks of `file`, past the system's cache, and returns how far it got: what goes wrong is left to the next
/// write to tell.
fn write_directly(file: BorrowedFd<'_>, blocks: &Range<u64>) -> u64 {
    let Some(direct) = open_directly(file) else { return blocks.start };
    let zeros = AlignedBuf::zeroed(DIRECT_PART_LEN);
    let mut next = blocks.start;
    while next < blocks.end {
        let len = part_of(&(next..blocks.end), DIRECT_PART_LEN);
        if direct.write_all_at(&zeros[..len], next).is_err() {
            break;
        }
        next += len as u64;
    }
    next
}

/// Opens `file` once more, to be written past the cache, where its file system can do that.
fn open_directly(file: BorrowedFd<'_>) -> Option<File> {
    let path = format!("/proc/self/fd/{}", file.as_fd().as_raw_fd());
    let flags = OFlags::WRONLY | OFlags::DIRECT | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).ok().map(File::from)
}

/// How long the first part of `range` is, of at most `max` bytes.
fn part_of(range: &Range<u64>, max: usize) -> usize {
    usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(max).min(max)
}

/// Where writes past the cache begin and end: what no disk has larger sectors than.
const BLOCK_LEN: u64 = 4096;
/// From how many bytes on they go past the cache.
const DIRECT_LEN: u64 = 8 << 20;
/// Bytes that are written past the cache at once.
const DIRECT_PART_LEN: usize = 2 << 20;
/// Bytes that are written into the cache at once, from memory that stays close to the processor.
const CACHED_LEN: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FileMedium, Locking, MemoryTarget, Storage};

    #[test]
    fn what_lies_around_zeros_stays_and_they_take_space() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let medium = FileMedium::open(file.path(), Locking::Write).unwrap();
        let memory = MemoryTarget::new();
        for range in [700..700 + (9 << 20), 0..0, 5..6, 4096..(10 << 20) + 4096, 1..(12 << 20)] {
            for target in [&medium as &dyn Target, &memory] {
                target.write_at(&[7; 100], range.start).unwrap();
                target.write_at(&[9; 100], range.end).unwrap();
                write_zeros(target, range.clone()).unwrap();
            }
            assert_eq!(medium.len(), memory.len());
            assert!(std::fs::read(file.path()).unwrap() == memory.to_vec(), "{range:?}");
        }
        assert!(!medium.segment(0).unwrap().hole);
    }

    #[test]
    fn a_file_grows_by_the_zeros_behind_its_end() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let medium = FileMedium::open(file.path(), Locking::Write).unwrap();
        write_zeros(&medium, 0..DIRECT_LEN + BLOCK_LEN).unwrap();
        assert_eq!((medium.len(), file.as_file().metadata().unwrap().len()), (DIRECT_LEN + BLOCK_LEN, medium.len()));
    }
}
