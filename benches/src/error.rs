//! What can go wrong, by who can mend it.

use std::error::Error as StdError;
use std::io;

/// A failure of the bench itself or of a program that it runs.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The arguments ask for what cannot be done.
    #[error("{0}")]
    Usage(String),
    /// The machine refused.
    #[error("{what}")]
    Io {
        /// What was tried.
        what: String,
        /// Why it failed.
        source: io::Error,
    },
    /// A program ended with a failure; for a comparison this is a wrong output.
    #[error("`{command}` ended with {status}: {said}")]
    Tool {
        /// The command line.
        command: String,
        /// Its exit status, in words.
        status: String,
        /// What it printed.
        said: String,
    },
}

/// Wraps an I/O error in words; for `map_err`.
pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Error {
    move |source| Error::Io { what: what.into(), source }
}

/// The error and all its causes in one line.
pub(crate) fn chain(error: &dyn StdError) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line.push_str(": ");
        line.push_str(&error.to_string());
        cause = error.source();
    }
    line
}
