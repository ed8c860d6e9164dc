//! Storages and targets that fail, block or panic when they are told to.

use std::io;
use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use imgfmt::{Error, FileSlice, Result, Segment, Storage, Target};

/// What happens at one call of many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The operating system says this.
    Error(i32),
    /// A defect of the program.
    Panic,
    /// Nothing, until [`Gate::open`].
    Block,
}

/// Lets those who wait pass once it is open.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    /// Lets everyone pass from now on.
    pub(crate) fn open(&self) {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.0.1.notify_all();
    }

    /// Waits until it is open; not for ever, so that a test ends whatever happens.
    fn pass(&self) {
        let closed = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.0.1.wait_timeout_while(closed, Duration::from_secs(20), |open| !*open));
    }
}

/// Counts calls, and lets one of them go wrong.
#[derive(Debug)]
pub(crate) struct Trigger {
    /// The number of the call that goes wrong; from 0.
    at: u64,
    /// Whether all later ones do too.
    onwards: bool,
    /// How.
    fault: Fault,
    /// What [`Fault::Block`] waits for.
    gate: Gate,
    /// Calls so far.
    calls: AtomicU64,
    /// Bytes of these calls.
    bytes: AtomicU64,
}

impl Trigger {
    /// The call number `at` goes wrong.
    pub(crate) fn once(at: u64, fault: Fault) -> Arc<Self> {
        Self::new(at, false, fault, &Gate::default())
    }

    /// The call number `at` goes wrong, and all that follow, as on a disk that is full.
    pub(crate) fn from(at: u64, fault: Fault) -> Arc<Self> {
        Self::new(at, true, fault, &Gate::default())
    }

    /// The call number `at` waits for `gate`; with `onwards`, all that follow do too.
    pub(crate) fn blocked(at: u64, onwards: bool, gate: &Gate) -> Arc<Self> {
        Self::new(at, onwards, Fault::Block, gate)
    }

    /// Nothing goes wrong; calls are counted.
    pub(crate) fn never() -> Arc<Self> {
        Self::once(u64::MAX, Fault::Panic)
    }

    /// The general case.
    fn new(at: u64, onwards: bool, fault: Fault, gate: &Gate) -> Arc<Self> {
        let (calls, bytes) = (AtomicU64::new(0), AtomicU64::new(0));
        Arc::new(Self { at, onwards, fault, gate: gate.clone(), calls, bytes })
    }

    /// Calls so far.
    pub(crate) fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    /// Bytes that were asked for in them.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::SeqCst)
    }

    /// Counts a call that is about `len` bytes at `offset`.
    fn call(&self, verb: &str, len: usize, offset: u64) -> Result<()> {
        let number = self.calls.fetch_add(1, Ordering::SeqCst);
        self.bytes.fetch_add(len as u64, Ordering::SeqCst);
        if number != self.at && !(self.onwards && number > self.at) {
            return Ok(());
        }
        match self.fault {
            Fault::Error(code) => {
                let error = io::Error::from_raw_os_error(code);
                Err(Error::io(format!("cannot {verb} {len} bytes"), error).at(offset))
            }
            Fault::Panic => panic!("a defect that a test makes"),
            Fault::Block => {
                self.gate.pass();
                Ok(())
            }
        }
    }
}

/// A storage whose reads can go wrong.
#[derive(Debug)]
pub(crate) struct FaultyStorage {
    /// The bytes.
    pub(crate) inner: Arc<dyn Storage>,
    /// When reads go wrong.
    pub(crate) reads: Arc<Trigger>,
}

#[deny(clippy::missing_trait_methods, reason = "a method that is forgotten would not go wrong")]
impl Storage for FaultyStorage {
    fn len(&self) -> u64 {
        self.inner.len()
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        self.reads.call("read", buf.len(), offset)?;
        self.inner.read_at(buf, offset)
    }

    fn segment(&self, offset: u64) -> Result<Segment> {
        self.inner.segment(offset)
    }

    fn as_file(&self) -> Option<FileSlice<'_>> {
        None
    }

    fn as_slice(&self) -> Option<&[u8]> {
        None
    }
}

/// A target whose writes can go wrong.
#[derive(Debug)]
pub(crate) struct FaultyTarget {
    /// Where the bytes go.
    pub(crate) inner: Arc<dyn Target>,
    /// When writes go wrong.
    pub(crate) writes: Arc<Trigger>,
}

#[deny(clippy::missing_trait_methods, reason = "a method that is forgotten would not go wrong")]
impl Target for FaultyTarget {
    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        self.writes.call("write", bytes.len(), offset)?;
        self.inner.write_at(bytes, offset)
    }

    fn set_len(&self, len: u64) -> Result<()> {
        self.inner.set_len(len)
    }

    fn reserve(&self, range: Range<u64>) -> Result<()> {
        self.inner.reserve(range)
    }

    fn clear(&self, range: Range<u64>) -> Result<()> {
        self.inner.clear(range)
    }

    fn sync(&self) -> Result<()> {
        self.inner.sync()
    }

    fn as_file(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn in_order(&self) -> bool {
        false
    }

    fn kept_len(&self) -> Option<u64> {
        self.inner.kept_len()
    }
}
