//! Answers on standard output.

use std::io::{self, Write};

use imgfmt_cli::args::OutputForm;
use serde_json::Value;

use crate::failure::Failure;

/// Prints `text`.
///
/// # Errors
///
/// A failure of the system, as where nobody reads any more.
pub(crate) fn text(text: &str) -> Result<(), Failure> {
    io::stdout().lock().write_all(text.as_bytes()).map_err(|e| Failure::System("cannot print", e))
}

/// Prints `value` for programs, or what `human` says for people.
///
/// # Errors
///
/// As [`text`].
pub(crate) fn answer(form: OutputForm, value: &Value, human: impl FnOnce() -> String) -> Result<(), Failure> {
    match form {
        OutputForm::Human => text(&human()),
        OutputForm::Json => text(&format!("{value:#}\n")),
    }
}
