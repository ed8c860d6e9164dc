//! Signals: the first asks for an orderly end, the second ends at once.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

use imgfmt::convert::Cancel;
use signal_hook::flag;

use crate::exit::Exit;

/// A signal that asks for the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// SIGHUP: the terminal is gone.
    Hangup,
    /// SIGINT: Ctrl-C.
    Interrupt,
    /// SIGTERM: `kill`.
    Terminate,
}

impl Signal {
    /// All of them.
    const ALL: [Self; 3] = [Self::Hangup, Self::Interrupt, Self::Terminate];

    /// Its number, the same on all systems.
    pub(crate) fn number(self) -> u8 {
        match self {
            Self::Hangup => 1,
            Self::Interrupt => 2,
            Self::Terminate => 15,
        }
    }
}

/// Which signals came.
#[derive(Debug, Default)]
pub(crate) struct Signals {
    /// The number of the last one, or 0.
    last: Arc<AtomicUsize>,
}

impl Signals {
    /// Has signals cancel `cancel` from now on, but for those that whoever started the program had it ignore,
    /// as `nohup` does.
    ///
    /// # Errors
    ///
    /// What the operating system says.
    pub(crate) fn cancel(&self, cancel: &Cancel) -> io::Result<()> {
        let ignored = ignored();
        for signal in Signal::ALL.into_iter().filter(|signal| ignored & 1 << (signal.number() - 1) == 0) {
            let number = signal.number();
            // In this order: a signal that comes while the flag is set ends the program, and the first one sets it.
            flag::register_conditional_shutdown(number.into(), Exit::Signal(signal).code().into(), cancel.flag())?;
            flag::register_usize(number.into(), Arc::clone(&self.last), number.into())?;
            flag::register(number.into(), cancel.flag())?;
            // What waits for others ends after that, so that nobody takes its end for a failure.
            flag::register(number.into(), ENDING.flag())?;
        }
        Ok(())
    }

    /// The signal that came.
    pub(crate) fn received(&self) -> Option<Signal> {
        let last = self.last.load(Ordering::Relaxed);
        Signal::ALL.into_iter().find(|signal| usize::from(signal.number()) == last)
    }
}

/// What is cancelled together with whatever is running when a signal comes: waits for what is outside of this process.
pub(crate) fn ending() -> Cancel {
    ENDING.clone()
}

/// As [`ending`] says. Signals are the whole process's.
static ENDING: LazyLock<Cancel> = LazyLock::new(Cancel::default);

/// The signals that this process ignores, a bit each from number 1 on; none where the system does not tell.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}
