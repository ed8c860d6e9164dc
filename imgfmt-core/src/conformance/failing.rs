//! Files that fail, as those on a full or a broken disk do.

use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::files::Files;
use crate::medium::Medium;
use crate::storage::{FileSlice, Segment, Storage};
use crate::target::Target;
use crate::{Error, Result};

/// What fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The operations with these numbers: writes, lengths, space that is taken or cleared, flushes, of all files. Of a write
    /// that fails, so much has been done.
    Operations(Range<usize>, Done),
    /// Everything that takes space, from the operation with this number on: the disk is full. What is there already can be
    /// written over, cleared and flushed.
    Full(usize),
}

/// How much of a write has been done that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// Nothing.
    Nothing,
    /// The first half of its sectors.
    Half,
    /// All of it.
    All,
}

/// Files of which some operations fail.
#[derive(Debug)]
pub struct Failing {
    /// What is common to all files.
    faults: Arc<Faults>,
    /// The files.
    files: Files,
}

/// What is common to all files.
#[derive(Debug)]
struct Faults {
    /// What fails.
    fault: Fault,
    /// Operations that were tried.
    tried: AtomicUsize,
    /// How many writes and flushes failed.
    failed: AtomicUsize,
    /// Whether a flush has failed.
    flush_failed: AtomicBool,
    /// What was tried to be changed after that, at first.
    changed_after: Mutex<Option<String>>,
}

/// One of the files.
#[derive(Debug)]
struct FailingFile {
    /// The file.
    medium: Arc<dyn Medium>,
    /// What fails.
    faults: Arc<Faults>,
}

/// What is done to a file.
#[derive(Debug)]
enum Act {
    /// Bytes are written.
    Write(Range<u64>),
    /// The length is set.
    SetLen(u64),
    /// Space is taken.
    Reserve,
    /// A range is cleared.
    Clear,
    /// Everything before is put onto the medium.
    Sync,
}

impl Failing {
    /// The files called `names` of `files`, where this fails.
    ///
    /// # Panics
    ///
    /// Where one is missing.
    #[must_use]
    pub fn new(files: &Files, names: &[&str], fault: Fault) -> Self {
        let faults = Arc::new(Faults {
            fault,
            tried: AtomicUsize::new(0),
            failed: AtomicUsize::new(0),
            flush_failed: AtomicBool::new(false),
            changed_after: Mutex::new(None),
        });
        let mut failing = Files::default();
        for name in names {
            let medium = files.medium(name.as_ref()).expect("the file is there");
            failing.add_medium(name, Arc::new(FailingFile { medium, faults: Arc::clone(&faults) }));
        }
        Self { faults, files: failing }
    }

    /// The files, as a gate that admits them all.
    #[must_use]
    pub fn files(&self) -> Files {
        self.files.clone()
    }

    /// How many operations were tried.
    #[must_use]
    pub fn tried(&self) -> usize {
        self.faults.tried.load(Ordering::Relaxed)
    }

    /// How many writes and flushes failed: somebody has to tell of them. What cannot be cleared or reserved can be done in
    /// another way, or without.
    #[must_use]
    pub fn failed(&self) -> usize {
        self.faults.failed.load(Ordering::Relaxed)
    }

    /// What was done first after a flush had failed, where there was anything.
    #[must_use]
    pub fn changed_after_failed_flush(&self) -> Option<String> {
        self.faults.changed_after.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Faults {
    /// Counts `act` on a file of `len` bytes. Where it is to fail, tells why, and how much of it is done all the same.
    fn operate(&self, act: &Act, len: u64) -> std::result::Result<(), (Error, Done)> {
        let number = self.tried.fetch_add(1, Ordering::Relaxed);
        if self.flush_failed.load(Ordering::Relaxed) && !matches!(act, Act::Sync) {
            let mut first = self.changed_after.lock().unwrap_or_else(PoisonError::into_inner);
            first.get_or_insert_with(|| format!("{act:?}"));
        }
        let (done, why) = match &self.fault {
            Fault::Operations(numbers, done) if numbers.contains(&number) => {
                (*done, std::io::Error::from_raw_os_error(EIO))
            }
            Fault::Full(first) if number >= *first && act.takes_space(len) => {
                (Done::Half, std::io::ErrorKind::StorageFull.into())
            }
            _ => return Ok(()),
        };
        self.failed.fetch_add(usize::from(matches!(act, Act::Write(_) | Act::Sync)), Ordering::Relaxed);
        self.flush_failed.fetch_or(matches!(act, Act::Sync), Ordering::Relaxed);
        Err((Error::io(format!("{act:?} fails"), why), done))
    }
}

impl Act {
    /// Whether it takes space of a disk, where the file has `len` bytes.
    fn takes_space(&self, len: u64) -> bool {
        match self {
            Self::Write(range) => range.end > len,
            Self::SetLen(to) => *to > len,
            Self::Reserve => true,
            Self::Clear | Self::Sync => false,
        }
    }
}

impl FailingFile {
    /// Counts `act`, and fails where it is to fail.
    fn operate(&self, act: &Act) -> Result<()> {
        self.faults.operate(act, self.medium.len()).map_err(|(error, _)| error)
    }
}

#[deny(clippy::missing_trait_methods)]
impl Storage for FailingFile {
    fn len(&self) -> u64 {
        self.medium.len()
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        self.medium.read_at(buf, offset)
    }

    fn segment(&self, offset: u64) -> Result<Segment> {
        self.medium.segment(offset)
    }

    fn as_file(&self) -> Option<FileSlice<'_>> {
        None
    }

    fn as_slice(&self) -> Option<&[u8]> {
        None
    }
}

#[deny(clippy::missing_trait_methods)]
impl Target for FailingFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        let end = offset.saturating_add(bytes.len() as u64);
        let Err((error, done)) = self.faults.operate(&Act::Write(offset..end), self.medium.len()) else {
            return self.medium.write_at(bytes, offset);
        };
        let len = match done {
            Done::Nothing => 0,
            Done::Half => bytes.len() / 2 / SECTOR_LEN * SECTOR_LEN,
            Done::All => bytes.len(),
        };
        if len > 0 {
            self.medium.write_at(&bytes[..len], offset)?;
        }
        Err(error)
    }

    fn set_len(&self, len: u64) -> Result<()> {
        self.operate(&Act::SetLen(len))?;
        self.medium.set_len(len)
    }

    fn reserve(&self, range: Range<u64>) -> Result<()> {
        self.operate(&Act::Reserve)?;
        self.medium.reserve(range)
    }

    fn clear(&self, range: Range<u64>) -> Result<()> {
        self.operate(&Act::Clear)?;
        self.medium.clear(range)
    }

    fn sync(&self) -> Result<()> {
        self.operate(&Act::Sync)?;
        self.medium.sync()
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

/// Bytes that a disk writes as one.
const SECTOR_LEN: usize = 512;
/// `errno` of a disk that is broken.
const EIO: i32 = 5;

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of 2 KiB, of which this fails.
    fn failing(fault: Fault) -> (Failing, Arc<dyn Medium>) {
        let mut files = Files::default();
        files.add("a", vec![0; 2048]);
        let failing = Failing::new(&files, &["a"], fault);
        let medium = failing.files().medium("a".as_ref()).unwrap();
        (failing, medium)
    }

    #[test]
    fn a_write_that_fails_has_been_done_as_far_as_is_said() {
        for (done, len) in [(Done::Nothing, 0), (Done::Half, 512), (Done::All, 1024)] {
            let (failing, medium) = failing(Fault::Operations(1..2, done));
            medium.write_at(&[1; 1024], 1024).unwrap();
            medium.write_at(&[2; 1024], 0).unwrap_err();
            medium.clear(1024..1025).unwrap();
            let mut bytes = [0; 2048];
            medium.read_at(&mut bytes, 0).unwrap();
            let written = bytes.iter().position(|byte| *byte != 2).unwrap();
            assert_eq!((written, bytes[1024], failing.tried(), failing.failed()), (len, 0, 3, 1));
        }
    }

    #[test]
    fn a_full_disk_fails_where_space_is_taken_and_what_follows_a_failed_flush_is_noticed() {
        let (failing, medium) = failing(Fault::Full(0));
        medium.write_at(&[1; 512], 1536).unwrap();
        medium.clear(0..512).and_then(|()| medium.set_len(2048)).and_then(|()| medium.sync()).unwrap();
        let taking = [medium.write_at(&[1; 512], 2048), medium.set_len(2049), medium.reserve(0..1)];
        assert!(taking.iter().all(Result::is_err));
        assert_eq!(failing.changed_after_failed_flush(), None);
        let (failing, medium) = self::failing(Fault::Operations(0..1, Done::Nothing));
        medium.sync().unwrap_err();
        assert_eq!(failing.changed_after_failed_flush(), None);
        medium.set_len(5).unwrap();
        assert_eq!(failing.changed_after_failed_flush().as_deref(), Some("SetLen(5)"));
    }
}
