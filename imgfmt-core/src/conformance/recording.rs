//! Files that remember every write, so that a test can pull the plug at any of them.

use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use super::files::Files;
use crate::medium::{Medium, MemoryMedium};
use crate::storage::{FileSlice, Segment, Storage};
use crate::target::Target;
use crate::{Error, Result};

/// Files that remember, in one order for all of them, what was done to them.
///
/// After a cut, what was flushed is there. Of everything else, any part may be there and any part not, in any order,
/// sector by sector: that is what disks promise.
#[derive(Debug, Default)]
pub struct Recording {
    /// The files: their names, what they held at first, and what they hold.
    files: Vec<(String, Vec<u8>, Arc<RecordedFile>)>,
    /// What was done.
    log: Arc<Mutex<Vec<Operation>>>,
}

/// Something done to a file.
#[derive(Clone, Debug)]
struct Operation {
    /// Which file.
    file: usize,
    /// What was done.
    act: Act,
}

/// What was done to a file.
#[derive(Clone, Debug)]
enum Act {
    /// Bytes were written.
    Write(u64, Vec<u8>),
    /// The length was set.
    SetLen(u64),
    /// A range was cleared.
    Clear(Range<u64>),
    /// Everything before was put onto the medium.
    Sync,
}

/// One of the files.
#[derive(Debug)]
struct RecordedFile {
    /// Which one it is.
    index: usize,
    /// Its bytes.
    bytes: MemoryMedium,
    /// Whether it is as a device: as long as it is, whatever is done.
    keeps_len: bool,
    /// What was done to all of them.
    log: Arc<Mutex<Vec<Operation>>>,
}

impl Recording {
    /// Files that hold these bytes and to which nothing has been done.
    #[must_use]
    pub fn new(files: &[(String, Vec<u8>)]) -> Self {
        Self::of(files, false)
    }

    /// The same for devices, which keep their lengths.
    #[must_use]
    pub fn on_devices(files: &[(String, Vec<u8>)]) -> Self {
        Self::of(files, true)
    }

    /// Files, or devices, that hold these bytes.
    fn of(files: &[(String, Vec<u8>)], keeps_len: bool) -> Self {
        let log = Arc::default();
        let recorded = |(index, (name, bytes)): (usize, &(String, Vec<u8>))| {
            let file = RecordedFile { index, bytes: MemoryMedium::new(bytes), keeps_len, log: Arc::clone(&log) };
            (name.clone(), bytes.clone(), Arc::new(file))
        };
        Self { files: files.iter().enumerate().map(recorded).collect(), log: Arc::clone(&log) }
    }

    /// The files, as a gate that admits them all.
    #[must_use]
    pub fn files(&self) -> Files {
        let mut files = Files::default();
        for (name, _, file) in &self.files {
            files.add_medium(name, Arc::clone(file) as Arc<dyn Medium>);
        }
        files
    }

    /// How many operations there have been.
    #[must_use]
    pub fn len(&self) -> usize {
        self.log().len()
    }

    /// Whether nothing has been done.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The files as a cut after the first `operations` may leave them. `keep` decides about each sector, and each other
    /// step, that was not flushed.
    ///
    /// # Panics
    ///
    /// Never: the files are in memory.
    pub fn cut(&self, operations: usize, keep: &mut dyn FnMut() -> bool) -> Vec<(String, Vec<u8>)> {
        let log = self.log();
        let log = &log[..operations.min(log.len())];
        let files: Vec<_> = self.files.iter().map(|(name, first, _)| (name, MemoryMedium::new(first))).collect();
        for (at, Operation { file, act }) in log.iter().enumerate() {
            let flushed = log[at..].iter().any(|later| later.file == *file && matches!(later.act, Act::Sync));
            let medium = &files[*file].1;
            let done = match act {
                Act::Write(offset, bytes) if flushed => medium.write_at(bytes, *offset),
                Act::Write(offset, bytes) => torn(medium, *offset, bytes, keep),
                Act::SetLen(len) if flushed || keep() => medium.set_len(*len),
                Act::Clear(range) if flushed || keep() => medium.clear(range.clone()),
                _ => Ok(()),
            };
            done.expect("what went well once, in memory, goes well again");
        }
        files.into_iter().map(|(name, medium)| (name.clone(), medium.into_vec())).collect()
    }

    /// The files as they are.
    #[must_use]
    pub fn now(&self) -> Vec<(String, Vec<u8>)> {
        self.files.iter().map(|(name, _, file)| (name.clone(), file.bytes.to_vec())).collect()
    }

    /// What was done.
    fn log(&self) -> std::sync::MutexGuard<'_, Vec<Operation>> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes those sectors of `bytes` that `keep` is for.
fn torn(medium: &MemoryMedium, offset: u64, bytes: &[u8], keep: &mut dyn FnMut() -> bool) -> Result<()> {
    let mut at = 0;
    while at < bytes.len() {
        let to_boundary = SECTOR_LEN - (offset + at as u64) % SECTOR_LEN;
        let len = usize::try_from(to_boundary).unwrap_or(usize::MAX).min(bytes.len() - at);
        if keep() {
            medium.write_at(&bytes[at..at + len], offset + at as u64)?;
        }
        at += len;
    }
    Ok(())
}

impl RecordedFile {
    /// Checks that what goes on up to byte `end` can be.
    fn check_end(&self, end: u64) -> Result<()> {
        let len = Storage::len(&self.bytes);
        if self.keeps_len && end > len {
            return Err(Error::out_of_bounds(format!("the device ends at byte {len}")).at(end));
        }
        Ok(())
    }

    /// Takes note of what was done.
    fn note(&self, act: Act) {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).push(Operation { file: self.index, act });
    }
}

#[deny(clippy::missing_trait_methods)]
impl Storage for RecordedFile {
    fn len(&self) -> u64 {
        Storage::len(&self.bytes)
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        self.bytes.read_at(buf, offset)
    }

    fn segment(&self, offset: u64) -> Result<Segment> {
        self.bytes.segment(offset)
    }

    fn as_file(&self) -> Option<FileSlice<'_>> {
        None
    }

    fn as_slice(&self) -> Option<&[u8]> {
        None
    }
}

#[deny(clippy::missing_trait_methods)]
impl Target for RecordedFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        self.check_end(offset.saturating_add(bytes.len() as u64))?;
        self.bytes.write_at(bytes, offset)?;
        self.note(Act::Write(offset, bytes.to_vec()));
        Ok(())
    }

    fn set_len(&self, len: u64) -> Result<()> {
        self.check_end(len)?;
        if self.keeps_len {
            return Ok(());
        }
        self.bytes.set_len(len)?;
        self.note(Act::SetLen(len));
        Ok(())
    }

    fn reserve(&self, range: Range<u64>) -> Result<()> {
        self.bytes.reserve(range)
    }

    fn clear(&self, range: Range<u64>) -> Result<()> {
        self.bytes.clear(range.clone())?;
        self.note(Act::Clear(range));
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        self.note(Act::Sync);
        Ok(())
    }

    fn as_file(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn in_order(&self) -> bool {
        false
    }

    fn kept_len(&self) -> Option<u64> {
        self.keeps_len.then(|| Storage::len(&self.bytes))
    }
}

/// The path of the file called `name`, as gates see it.
pub(super) fn path_of(name: &str) -> PathBuf {
    PathBuf::from(name)
}

/// Bytes that a disk writes as one.
const SECTOR_LEN: u64 = 512;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_flushed_survives_and_the_rest_may() {
        let recording = Recording::new(&[("a".to_owned(), vec![0; 1024])]);
        let medium = recording.files().medium(&path_of("a")).unwrap();
        medium.write_at(&[1; 512], 0).unwrap();
        medium.sync().unwrap();
        medium.write_at(&[2; 1024], 0).unwrap();
        let cut = |operations, keep: &mut dyn FnMut() -> bool| recording.cut(operations, keep).remove(0).1;
        assert_eq!(cut(0, &mut || true), [0; 1024]);
        assert_eq!(cut(1, &mut || false), [0; 1024]);
        assert_eq!(cut(3, &mut || false), [[1; 512], [0; 512]].concat());
        let mut first = true;
        assert_eq!(cut(3, &mut || std::mem::replace(&mut first, false)), [[2; 512], [0; 512]].concat());
        assert_eq!(cut(3, &mut || true), [2; 1024]);
    }
}
