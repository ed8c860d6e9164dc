//! Signals: the first asks for an orderly end, the second ends at once.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use imgfmt::convert::Cancel;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::exit::Exit;

/// A signal that asks for the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// SIGINT: Ctrl-C.
    Interrupt,
    /// SIGTERM: `kill`.
    Terminate,
}

/// Which signals came.
#[derive(Debug, Default)]
pub(crate) struct Signals {
    /// The number of the last one, or 0.
    last: Arc<AtomicUsize>,
}

impl Signals {
    /// Has signals cancel `cancel` from now on.
    ///
    /// # Errors
    ///
    /// What the operating system says.
    pub(crate) fn cancel(&self, cancel: &Cancel) -> io::Result<()> {
        for (number, signal) in [(SIGINT, Signal::Interrupt), (SIGTERM, Signal::Terminate)] {
            // In this order: a signal that comes while the flag is set ends the program, and the first one sets it.
            flag::register_conditional_shutdown(number, Exit::Signal(signal).code().into(), cancel.flag())?;
            flag::register_usize(number, Arc::clone(&self.last), usize::from(Exit::Signal(signal).code()))?;
            flag::register(number, cancel.flag())?;
        }
        Ok(())
    }

    /// The signal that came.
    pub(crate) fn received(&self) -> Option<Signal> {
        let last = self.last.load(Ordering::Relaxed);
        [Signal::Interrupt, Signal::Terminate]
            .into_iter()
            .find(|signal| usize::from(Exit::Signal(*signal).code()) == last)
    }
}
