//! Whether two images hold the same disk.

use std::num::NonZeroUsize;

use imgfmt_core::convert::{Cancel, Progress};
use imgfmt_core::{Compare, Comparison, Error, ErrorKind};

use super::open::{Access, open};
use super::request::Source;

/// What is to be compared, and how.
#[derive(Clone)]
pub struct CompareRequest<'a> {
    /// The first image.
    pub first: Source,
    /// The second image.
    pub second: Source,
    /// Whether sizes and what is stored have to agree, too.
    pub strict: bool,
    /// Threads that work.
    pub threads: NonZeroUsize,
    /// Called from any thread, as it goes on.
    pub progress: Option<&'a (dyn Fn(Progress) + Sync)>,
    /// Stops the work.
    pub cancel: Cancel,
    /// What the images may do while they are opened.
    pub access: Access<'a>,
    /// What the second image may do, where that is something else.
    pub second_access: Option<Access<'a>>,
}

/// Why two images could not be compared.
#[derive(Debug)]
pub struct ComparingError {
    /// Whether an image could not be opened; else it could not be read.
    pub while_opening: bool,
    /// What went wrong.
    pub error: Error,
}

/// Compares two disks, each with all that it builds on.
///
/// # Errors
///
/// What opening and reading meet, and which of the two it was.
pub fn compare(request: &CompareRequest<'_>) -> Result<Comparison, ComparingError> {
    let open = |source: &Source, access: &Access<'_>| {
        open(&source.path, source.format.as_deref(), access)
            .map_err(|error| ComparingError { while_opening: true, error })
    };
    let second_access = request.second_access.as_ref().unwrap_or(&request.access);
    let disks = [open(&request.first, &request.access)?, open(&request.second, second_access)?];
    let compare = Compare {
        strict: request.strict,
        threads: request.threads,
        progress: request.progress,
        cancel: request.cancel.clone(),
    };
    compare.run(&disks[0], &disks[1]).map_err(|failed| {
        let source = if failed.side == 0 { &request.first } else { &request.second };
        let error = match failed.error.kind() {
            ErrorKind::Cancelled => failed.error,
            _ => failed.error.context(format!("cannot read {}", source.path.display())),
        };
        ComparingError { while_opening: false, error }
    })
}
