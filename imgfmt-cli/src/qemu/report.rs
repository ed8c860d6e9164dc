//! What is said on standard error without being the end.

use std::io::{self, Write};

use super::fault::NAME;

/// Prints to standard error.
pub(crate) fn stderr(text: &str) {
    // There is nobody to tell that it cannot be told.
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// Prints an error that does not end the program.
pub(crate) fn error(text: &str) {
    stderr(&format!("{NAME}: {text}\n"));
}

/// Prints a warning.
pub(crate) fn warning(text: &str) {
    stderr(&format!("{NAME}: warning: {text}\n"));
}
