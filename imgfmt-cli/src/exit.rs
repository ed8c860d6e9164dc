//! How the program ends.

use std::process::ExitCode;

use crate::signals::Signal;

/// How the program ends; scripts see the number. Documented in `docs/cli.md` and in `imgfmt --help`.
///
/// Wrong arguments are 1 and not 2, as with `qemu-img`: of the codes above 1, some commands make answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// 0: what was asked for is done. Also where the reader of the output went away.
    Done,
    /// 1: it is not, and standard error says why.
    Error,
    /// A number that is an answer of the command, such as that two images differ.
    Answer(u8),
    /// 128 and the signal's number: it was stopped by that signal, and nothing is left behind.
    Signal(Signal),
}

impl Exit {
    /// The number.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Error => 1,
            Self::Answer(code) => code,
            Self::Signal(signal) => SIGNAL_BASE + signal.number(),
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// What shells add a signal's number to.
const SIGNAL_BASE: u8 = 128;
