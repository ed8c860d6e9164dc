//! A pipe as a target: bytes leave in the order in which they stand.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write;
use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Target;
use crate::{Error, Result};

/// Bytes that leave front to back and are gone.
///
/// What is written ahead of its turn waits in memory, so that writers may hand over tables early; that is bounded.
pub struct PipeTarget(Mutex<Pipe>);

/// The state of a [`PipeTarget`].
struct Pipe {
    /// Where the bytes go.
    out: Box<dyn Write + Send>,
    /// Bytes that have left.
    at: u64,
    /// What came ahead of its turn, by its offset.
    early: BTreeMap<u64, Early>,
    /// Bytes that `early` holds.
    held: usize,
}

/// Something that came ahead of its turn.
enum Early {
    /// These bytes.
    Bytes(Vec<u8>),
    /// As many zeros.
    Zeros(u64),
}

impl PipeTarget {
    /// A target that writes to `out`.
    #[must_use]
    pub fn new(out: Box<dyn Write + Send>) -> Self {
        Self(Mutex::new(Pipe { out, at: 0, early: BTreeMap::new(), held: 0 }))
    }

    /// The state; a panic of another thread while it held it lost the pipe for all.
    fn lock(&self) -> MutexGuard<'_, Pipe> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for PipeTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PipeTarget").field("at", &self.lock().at).finish_non_exhaustive()
    }
}

impl Pipe {
    /// Takes something for `offset`: now, if it is its turn.
    fn take(&mut self, offset: u64, what: Early) -> Result<()> {
        if offset < self.at {
            let what = format!("byte {offset} is to be written, but {} bytes have left through the pipe", self.at);
            return Err(Error::unsupported(what));
        }
        if offset > self.at {
            if let Early::Bytes(bytes) = &what {
                self.held += bytes.len();
            }
            if self.held > MAX_HELD || self.early.len() >= MAX_EARLY {
                return Err(Error::limit(format!("more than {MAX_HELD} bytes wait for byte {}", self.at)));
            }
            self.early.insert(offset, what);
            return Ok(());
        }
        self.send(&what)?;
        while let Some(next) = self.early.remove(&self.at) {
            if let Early::Bytes(bytes) = &next {
                self.held -= bytes.len();
            }
            self.send(&next)?;
        }
        Ok(())
    }

    /// Writes what it is the turn of.
    fn send(&mut self, what: &Early) -> Result<()> {
        match what {
            Early::Bytes(bytes) => self.send_bytes(bytes),
            &Early::Zeros(len) => {
                let zeros = vec![0; usize::try_from(len).unwrap_or(usize::MAX).min(ZEROS_LEN)];
                let mut left = len;
                while left > 0 {
                    let part = zeros.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                    self.send_bytes(&zeros[..part])?;
                    left -= part as u64;
                }
                Ok(())
            }
        }
    }

    /// Writes bytes.
    fn send_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        let at = self.at;
        self.out.write_all(bytes).map_err(|e| Error::io("cannot write to the pipe", e).at(at))?;
        self.at += bytes.len() as u64;
        Ok(())
    }
}

#[deny(clippy::missing_trait_methods)]
impl Target for PipeTarget {
    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        let mut pipe = self.lock();
        if bytes.is_empty() {
            return Ok(());
        }
        // The usual case needs no copy.
        if offset == pipe.at && pipe.early.is_empty() {
            return pipe.send_bytes(bytes);
        }
        pipe.take(offset, Early::Bytes(bytes.to_vec()))
    }

    /// The last word about the length: what is missing up to it is sent as zeros.
    fn set_len(&self, len: u64) -> Result<()> {
        let mut pipe = self.lock();
        let missing = len.checked_sub(pipe.at);
        match missing {
            Some(0) => Ok(()),
            Some(missing) => {
                let at = pipe.at;
                pipe.take(at, Early::Zeros(missing))
            }
            None => Err(Error::unsupported(format!("{} bytes have left through the pipe already", pipe.at))),
        }
    }

    fn reserve(&self, _range: Range<u64>) -> Result<()> {
        Ok(())
    }

    fn clear(&self, range: Range<u64>) -> Result<()> {
        if range.is_empty() {
            return Ok(());
        }
        self.lock().take(range.start, Early::Zeros(range.end - range.start))
    }

    /// Hands everything to the pipe; where something still waits for its turn, it never comes.
    fn sync(&self) -> Result<()> {
        let mut pipe = self.lock();
        if let Some((offset, _)) = pipe.early.first_key_value() {
            let what = format!("bytes {} to {offset} were never written to the pipe", pipe.at);
            return Err(Error::malformed(what));
        }
        let at = pipe.at;
        pipe.out.flush().map_err(|e| Error::io("cannot write to the pipe", e).at(at))
    }

    fn as_file(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn in_order(&self) -> bool {
        true
    }

    fn kept_len(&self) -> Option<u64> {
        None
    }
}

/// Bytes that may wait for their turn: 64 MiB.
const MAX_HELD: usize = 64 << 20;
/// Writes that may wait for their turn.
const MAX_EARLY: usize = 1 << 16;
/// Bytes of zeros written at once.
const ZEROS_LEN: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    /// A writer whose bytes can be looked at.
    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn bytes_leave_in_the_order_in_which_they_stand() {
        let out = Shared::default();
        let pipe = PipeTarget::new(Box::new(out.clone()));
        pipe.write_at(b"ef", 4).unwrap();
        pipe.clear(2..4).unwrap();
        assert!(pipe.sync().is_err());
        pipe.write_at(b"ab", 0).unwrap();
        pipe.write_at(b"g", 6).unwrap();
        pipe.set_len(9).unwrap();
        pipe.sync().unwrap();
        assert_eq!(*out.0.lock().unwrap(), b"ab\0\0efg\0\0");
        assert!(pipe.write_at(b"x", 3).is_err());
        assert!(pipe.set_len(8).is_err());
    }

    #[test]
    fn what_waits_is_bounded() {
        let pipe = PipeTarget::new(Box::new(Shared::default()));
        let some = vec![1; MAX_HELD / 2];
        pipe.write_at(&some, 1).unwrap();
        pipe.write_at(&some, 1 + some.len() as u64).unwrap();
        assert_eq!(pipe.write_at(b"x", u64::MAX - 1).unwrap_err().kind(), crate::ErrorKind::LimitExceeded);
    }
}
