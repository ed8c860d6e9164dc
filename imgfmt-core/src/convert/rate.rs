//! Not more than so many bytes a second.

use std::num::NonZeroU64;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::Cancel;

/// Keeps those who store to a rate, all together.
#[derive(Debug)]
pub(super) struct Rate {
    /// Bytes a second.
    limit: NonZeroU64,
    /// When what was stored so far may have been stored.
    free: Mutex<Instant>,
}

impl Rate {
    /// So many bytes a second from now on.
    pub(super) fn new(limit: NonZeroU64) -> Self {
        Self { limit, free: Mutex::new(Instant::now()) }
    }

    /// Takes note of `bytes` that were stored, and waits until more may be, or until `cancel`.
    pub(super) fn spend(&self, bytes: u64, cancel: &Cancel) {
        let until = {
            let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
            let nanos = u128::from(bytes) * NANOS / u128::from(self.limit.get());
            let time = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
            *free = (*free).max(Instant::now()).checked_add(time).unwrap_or(*free);
            *free
        };
        while !cancel.is_cancelled() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            std::thread::sleep(left.min(PATIENCE));
        }
    }
}

/// Nanoseconds of a second.
const NANOS: u128 = 1_000_000_000;
/// Longest sleep before a look at whether the work was cancelled.
const PATIENCE: Duration = Duration::from_millis(50);
