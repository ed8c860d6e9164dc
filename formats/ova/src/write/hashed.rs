//! A part of a target that is written front to back, and hashed on the way.

use std::io::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use imgfmt_core::Target;
use sha2::digest::DynDigest;

use crate::manifest::{Algorithm, digits};

/// Bytes that go into a target from a position on.
#[derive(Clone)]
pub(super) struct Hashed {
    /// The target.
    target: Arc<dyn Target>,
    /// Where the bytes go.
    start: u64,
    /// What is known of the bytes so far.
    state: Arc<Mutex<State>>,
}

/// What is known of bytes that have passed.
struct State {
    /// How many there were.
    len: u64,
    /// Their hash.
    hash: Box<dyn DynDigest + Send>,
}

impl Hashed {
    /// A writer to `target` from `start` on.
    pub(super) fn new(target: Arc<dyn Target>, start: u64, algorithm: Algorithm) -> Self {
        Self { target, start, state: Arc::new(Mutex::new(State { len: 0, hash: algorithm.start() })) }
    }

    /// How many bytes have passed, and their hash in hexadecimal digits; asked for once, at the end.
    pub(super) fn result(&self) -> (u64, String) {
        let mut state = self.lock();
        (state.len, digits(&state.hash.finalize_reset()))
    }

    /// The state; a panic of another thread has failed the whole conversion.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut state = self.lock();
        self.target.write_at(bytes, self.start + state.len).map_err(std::io::Error::other)?;
        state.hash.update(bytes);
        state.len += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The hash of `bytes` in hexadecimal digits.
pub(super) fn hash_of(bytes: &[u8], algorithm: Algorithm) -> String {
    let mut hash = algorithm.start();
    hash.update(bytes);
    digits(&hash.finalize_reset())
}
