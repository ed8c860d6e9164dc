//! What an image stores, moved into the file that it builds on.

use std::path::PathBuf;

use imgfmt_core::convert::{Cancel, Progress};
use imgfmt_core::{Error, Result};

use super::open::Access;
use super::request::Source;

/// Which image is to be written into which of the files that it builds on.
#[derive(Clone)]
pub struct CommitRequest<'a> {
    /// The image.
    pub source: Source,
    /// The file below that is written: all layers above it are. `None` is the one that the image names.
    pub base: Option<PathBuf>,
    /// Whether the image keeps what it stores. With a [`base`](Self::base), it does always.
    pub keep: bool,
    /// Guest bytes that are written in a second at most.
    pub rate_limit: Option<u64>,
    /// Called after each part of the disk that is settled.
    pub progress: Option<&'a (dyn Fn(Progress) + Sync)>,
    /// Stops the work. The image is as it was then, and reads as it did.
    pub cancel: Cancel,
    /// What the image and the files below may do while they are opened; the gate has to admit that the base is written.
    pub access: Access<'a>,
}

impl CommitRequest<'_> {
    /// The image at `path`, in a format that is probed, is to be written into the file that it names, and emptied.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            source: Source { path: path.into(), format: None },
            base: None,
            keep: false,
            rate_limit: None,
            progress: None,
            cancel: Cancel::default(),
            access: Access::default(),
        }
    }
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// Guest bytes that were written into the base, zeros included.
    pub bytes: u64,
}

/// Writes what an image stores into a file that it builds on, which becomes larger where the image's disk is. That file is
/// flushed before the image is emptied.
///
/// # Errors
///
/// [`Invalid`](imgfmt_core::ErrorKind::Invalid) where the image builds on nothing, or not on the base;
/// [`Unsupported`](imgfmt_core::ErrorKind::Unsupported) where the base's format cannot be changed; what opening, reading and
/// writing say, and [`Cancelled`](imgfmt_core::ErrorKind::Cancelled). The image reads as before then.
pub fn commit(request: &CommitRequest<'_>) -> Result<Committed> {
    Err(Error::unsupported(format!("{} cannot be committed yet", request.source.path.display())))
}
