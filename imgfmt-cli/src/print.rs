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

/// Prints `value` for programs, or for people what `human` says, unless they are to be left in peace.
///
/// # Errors
///
/// As [`text`].
pub(crate) fn answer(
    form: OutputForm,
    quiet: bool,
    value: &Value,
    human: impl FnOnce() -> String,
) -> Result<(), Failure> {
    match form {
        OutputForm::Human if quiet => Ok(()),
        OutputForm::Human => text(&human()),
        OutputForm::Json => text(&format!("{value:#}\n")),
    }
}

/// Tells programs what was done; people hear nothing where all went well. Where `to_pipe` the image is on standard output, it is a
/// line on standard error.
///
/// # Errors
///
/// As [`text`].
pub(crate) fn done(form: OutputForm, to_pipe: bool, value: &Value) -> Result<(), Failure> {
    match form {
        OutputForm::Json if to_pipe => {
            writeln!(io::stderr().lock(), "{value}").map_err(|e| Failure::System("cannot print", e))
        }
        _ => answer(form, true, value, String::new),
    }
}
