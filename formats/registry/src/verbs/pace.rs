//! Not more bytes in a second than somebody has said.

use std::time::{Duration, Instant};

use imgfmt_core::convert::Cancel;

/// Makes those wait who are too fast.
pub(super) struct Pace {
    /// Bytes in a second; `None` waits for nothing.
    limit: Option<u64>,
    /// When the first bytes came.
    start: Instant,
    /// Bytes that came so far.
    bytes: u64,
}

impl Pace {
    /// A pace of `limit` bytes in a second.
    pub(super) fn new(limit: Option<u64>) -> Self {
        Self { limit: limit.filter(|limit| *limit > 0), start: Instant::now(), bytes: 0 }
    }

    /// Waits until `len` more bytes may come.
    pub(super) fn wait(&mut self, len: u64, cancel: &Cancel) {
        let Some(limit) = self.limit else { return };
        let due =
            Duration::from_nanos(u64::try_from(u128::from(self.bytes) * NANOS / u128::from(limit)).unwrap_or(u64::MAX));
        self.bytes += len;
        while let Some(left) = due.checked_sub(self.start.elapsed()).filter(|left| !left.is_zero()) {
            if cancel.is_cancelled() {
                return;
            }
            std::thread::sleep(left.min(STEP));
        }
    }
}

/// Nanoseconds of a second.
const NANOS: u128 = 1_000_000_000;
/// How long nobody looks whether the work was cancelled.
const STEP: Duration = Duration::from_millis(50);
