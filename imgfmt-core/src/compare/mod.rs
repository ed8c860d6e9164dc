//! Whether two disks hold the same bytes.
//!
//! Both maps are walked side by side; what both say is zero, or is the same stored bytes, is not read. The rest is cut
//! into windows that any number of threads take in order, so that the first difference is the same for all of them.

mod walk;

use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use walk::{Task, Walk};

use crate::aligned::AlignedBuf;
use crate::convert::{Cancel, Progress};
use crate::extent::{Extent, ExtentKind};
use crate::image::Image;
use crate::read::UnitReader;
use crate::{Error, ErrorKind, Result};

/// How two disks are compared.
#[derive(Clone)]
pub struct Compare<'a> {
    /// Whether sizes and what is stored have to agree, too.
    pub strict: bool,
    /// Threads that work, the caller's among them.
    pub threads: NonZeroUsize,
    /// Called from any thread, after each window.
    pub progress: Option<&'a (dyn Fn(Progress) + Sync)>,
    /// Stops the comparison.
    pub cancel: Cancel,
}

/// Whether two disks are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// They hold the same bytes.
    Identical {
        /// Whether one is longer; what it has more is zero.
        sizes_differ: bool,
    },
    /// Their bytes differ.
    Differs {
        /// The first guest byte of the first sector that differs.
        offset: u64,
    },
    /// They have different sizes, and that was to be no difference.
    StrictSize,
    /// One stores what the other does not, and that was to be no difference.
    StrictStatus {
        /// The first guest byte where that is so.
        offset: u64,
    },
}

/// Why two disks could not be compared.
#[derive(Debug)]
pub struct CompareError {
    /// Which disk it was: 0 or 1.
    pub side: usize,
    /// What went wrong.
    pub error: Error,
}

impl Compare<'_> {
    /// Compares two disks.
    ///
    /// # Errors
    ///
    /// The first that reading meets, with the disk; [`Cancelled`](ErrorKind::Cancelled).
    pub fn run(&self, first: &dyn Image, second: &dyn Image) -> Result<Comparison, CompareError> {
        let sizes_differ = first.size() != second.size();
        if self.strict && sizes_differ {
            return Ok(Comparison::StrictSize);
        }
        let disks = [first, second];
        let state = State {
            disks,
            walk: Mutex::new(Walk::new(disks, self.strict)),
            found: AtomicU64::new(NONE),
            status: AtomicU64::new(NONE),
            done: AtomicU64::new(0),
            error: Mutex::new(None),
        };
        std::thread::scope(|scope| {
            for _ in 1..self.threads.get() {
                scope.spawn(|| self.work(&state));
            }
            self.work(&state);
        });
        state.outcome(sizes_differ)
    }

    /// Takes window after window until none is left that matters.
    fn work(&self, state: &State<'_>) {
        let mut worker = Worker::default();
        loop {
            if self.cancel.is_cancelled() {
                let error = Error::new(ErrorKind::Cancelled, "the comparison was cancelled");
                return state.fail(u64::MAX - 1, CompareError { side: 0, error });
            }
            let task = match state.next() {
                Ok(Some(task)) => task,
                Ok(None) => return,
                Err((at, error)) => return state.fail(at, error),
            };
            if let Some(offset) = task.status {
                state.status.fetch_min(offset, Ordering::Relaxed);
            }
            match worker.compare(state.disks, &task) {
                Ok(Some(offset)) => {
                    state.found.fetch_min(offset, Ordering::Relaxed);
                }
                Ok(None) => {}
                Err(error) => state.fail(task.range.start, error),
            }
            self.report(state, task.range.end);
        }
    }

    /// Tells how far it is.
    fn report(&self, state: &State<'_>, end: u64) {
        let done = state.done.fetch_max(end, Ordering::Relaxed).max(end);
        if let Some(progress) = self.progress {
            let size = state.disks[0].size().max(state.disks[1].size());
            progress(Progress { done, size, stored: 0 });
        }
    }
}

/// One comparison as all threads see it.
struct State<'a> {
    /// The two disks.
    disks: [&'a dyn Image; 2],
    /// The windows that are left.
    walk: Mutex<Walk<'a>>,
    /// The first sector that differs so far.
    found: AtomicU64,
    /// The first byte whose status differs so far.
    status: AtomicU64,
    /// Guest bytes that have been looked at.
    done: AtomicU64,
    /// The error at the lowest guest byte so far.
    error: Mutex<Option<(u64, CompareError)>>,
}

impl State<'_> {
    /// The next window, unless a difference before it makes it meaningless.
    fn next(&self) -> Result<Option<Task>, (u64, CompareError)> {
        let mut walk = self.walk.lock().unwrap_or_else(PoisonError::into_inner);
        let known = self.found.load(Ordering::Relaxed).min(self.status.load(Ordering::Relaxed));
        if walk.position() >= known || self.lock_error().is_some() {
            return Ok(None);
        }
        let at = walk.position();
        walk.next_task().map_err(|error| (at, error))
    }

    /// Takes note of an error; the one at the lowest byte counts.
    fn fail(&self, at: u64, error: CompareError) {
        let mut known = self.lock_error();
        if known.as_ref().is_none_or(|(first, _)| at < *first) {
            *known = Some((at, error));
        }
    }

    /// The error so far.
    fn lock_error(&self) -> std::sync::MutexGuard<'_, Option<(u64, CompareError)>> {
        self.error.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What came of it: whatever is first on the disk.
    fn outcome(self, sizes_differ: bool) -> Result<Comparison, CompareError> {
        let (found, status) = (self.found.into_inner(), self.status.into_inner());
        let error = self.error.into_inner().unwrap_or_else(PoisonError::into_inner);
        match error {
            Some((at, error)) if at < found.min(status) || error.error.kind() == ErrorKind::Cancelled => Err(error),
            _ if status <= found && status != NONE => Ok(Comparison::StrictStatus { offset: status }),
            _ if found != NONE => Ok(Comparison::Differs { offset: found }),
            Some((_, error)) => Err(error),
            None => Ok(Comparison::Identical { sizes_differ }),
        }
    }
}

/// What a thread keeps from window to window.
#[derive(Default)]
struct Worker {
    /// Readers of both disks.
    readers: [UnitReader; 2],
    /// Bytes of both disks.
    buffers: [AlignedBuf; 2],
}

impl Worker {
    /// The first sector of the window that differs.
    fn compare(&mut self, disks: [&dyn Image; 2], task: &Task) -> Result<Option<u64>, CompareError> {
        for (side, disk) in disks.into_iter().enumerate() {
            self.read(side, disk, &task.range, &task.extents[side]).map_err(|error| CompareError { side, error })?;
        }
        let len = in_memory(task.range.end - task.range.start);
        let [first, second] = &self.buffers;
        let differs = first_difference(&first[..len], &second[..len]).map(|at| task.range.start + at as u64);
        Ok(differs.map(|byte| byte - byte % SECTOR_LEN))
    }

    /// Reads a window of one disk; what lies behind its end is zero.
    fn read(&mut self, side: usize, disk: &dyn Image, range: &Range<u64>, extents: &[Extent]) -> Result<()> {
        let (reader, buffer) = (&mut self.readers[side], &mut self.buffers[side]);
        let len = in_memory(range.end - range.start);
        buffer.grow(len);
        let mut rest = &mut buffer[..len];
        for extent in extents {
            let (part, behind) = rest.split_at_mut(in_memory(extent.len).min(rest.len()));
            match extent.kind {
                ExtentKind::Opaque => disk.read_at(part, extent.start)?,
                _ => reader.read_extent(disk, extent, part)?,
            }
            rest = behind;
        }
        rest.fill(0);
        Ok(())
    }
}

/// The first byte that differs.
fn first_difference(first: &[u8], second: &[u8]) -> Option<usize> {
    if first == second {
        return None;
    }
    first.iter().zip(second).position(|(a, b)| a != b)
}

/// A length within a window.
fn in_memory(len: u64) -> usize {
    usize::try_from(len).unwrap_or(usize::MAX)
}

/// Bytes of a sector, in which differences are told.
const SECTOR_LEN: u64 = 512;
/// No guest byte.
const NONE: u64 = u64::MAX;
