//! Looking for damage in an image, and mending it.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use imgfmt_core::convert::Cancel;
use imgfmt_core::{CheckStats, Error, Findings, Repair, Result};

use super::open::Access;
use super::request::Source;

/// Which image is to be looked at, and how.
#[derive(Clone)]
pub struct CheckRequest<'a> {
    /// The image.
    pub source: Source,
    /// What is to be mended; `None` only looks.
    pub repair: Option<Repair>,
    /// Whether every compressed unit is decoded, too.
    pub deep: bool,
    /// Threads that decode.
    pub threads: NonZeroUsize,
    /// Stops the check.
    pub cancel: Cancel,
    /// What the image may do while it is opened.
    pub access: Access<'a>,
}

impl CheckRequest<'_> {
    /// A look at the image at `path`, in a format that is probed; nothing is mended.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            source: Source { path: path.into(), format: None },
            repair: None,
            deep: false,
            threads: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            cancel: Cancel::default(),
            access: Access::default(),
        }
    }
}

/// What a check has found.
#[derive(Clone, Debug)]
pub struct CheckReport {
    /// The name of the image's format.
    pub format: &'static str,
    /// What was found, and whether it was mended.
    pub findings: Findings,
    /// What was counted on the way.
    pub stats: CheckStats,
    /// What a second check found, after a repair.
    pub after_repair: Option<Findings>,
}

/// Looks at one layer, and mends it where that is asked for. No backing file is opened. Formats that have no check of their
/// own get the one that follows the map.
///
/// # Errors
///
/// Where the file is too damaged to be looked at, or cannot be opened; [`Unsupported`](imgfmt_core::ErrorKind::Unsupported)
/// for the repair of what cannot be mended in place; [`Cancelled`](imgfmt_core::ErrorKind::Cancelled).
pub fn check(request: &CheckRequest<'_>) -> Result<CheckReport> {
    Err(Error::unsupported(format!("{} cannot be checked yet", request.source.path.display())))
}
