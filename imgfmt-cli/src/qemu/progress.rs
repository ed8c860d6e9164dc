//! How far a command is, as `qemu-img` shows it: on standard output with `-p`, on standard error at SIGUSR1 without.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use imgfmt::convert::Progress;
use signal_hook::consts::SIGUSR1;

use super::getopt::Parsed;
use super::report::stderr;

/// Shows how far a command is. Any thread may report.
pub(crate) struct Meter {
    /// Whether it is shown all the time.
    shown: bool,
    /// What was shown last, in percent.
    last: Mutex<f64>,
    /// Set by the signal that asks how far it is.
    asked: Arc<AtomicBool>,
}

impl Meter {
    /// The meter that `-p` and `-q` call for, at nothing.
    pub(crate) fn new(parsed: &Parsed) -> Self {
        let shown = parsed.has("progress") && !parsed.has("quiet");
        let asked = Arc::new(AtomicBool::new(false));
        // Without it, the signal would end the program; that it cannot be had is no reason to do so.
        let _ = signal_hook::flag::register(SIGUSR1, Arc::clone(&asked));
        if shown {
            print(0.0);
        }
        Self { shown, last: Mutex::new(0.0), asked }
    }

    /// Shows how far it is, where that has changed enough.
    pub(crate) fn report(&self, progress: Progress) {
        let percent = if progress.size == 0 { 100.0 } else { as_f64(progress.done) * 100.0 / as_f64(progress.size) };
        if self.asked.swap(false, Ordering::Relaxed) && !self.shown {
            stderr(&format!("    ({percent:3.2}/100%)\n"));
        }
        let Ok(mut last) = self.last.try_lock() else { return };
        // Threads report in no order.
        if self.shown && percent > *last + STEP {
            *last = percent;
            print(percent);
        }
    }

    /// Shows how it ended.
    pub(crate) fn finish(self, done: bool) {
        if done {
            self.complete();
        }
    }

    /// Shows that all is done. The line ends with the meter: what is printed before that stands on it, as it does with QEMU.
    pub(crate) fn complete(&self) {
        if self.shown {
            print(100.0);
        }
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        if self.shown {
            write("\n");
        }
    }
}

/// Shows a percentage.
fn print(percent: f64) {
    write(&format!("    ({percent:3.2}/100%)\r"));
}

/// Prints at once. Nobody is told where it cannot be: progress is no result.
fn write(text: &str) {
    let mut stdout = io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

/// A number of bytes, for a fraction of them.
#[expect(clippy::cast_precision_loss, reason = "a fraction is shown with a few digits")]
fn as_f64(bytes: u64) -> f64 {
    bytes as f64
}

/// Percent that lie between two reports.
const STEP: f64 = 1.0;
