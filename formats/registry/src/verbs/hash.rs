//! A hash of the disk that the guest sees.

use std::num::NonZeroUsize;

use imgfmt_core::convert::{Cancel, Convert, Progress};
use imgfmt_core::{HashAlgorithm, HashValue, Result};

use super::open::{Access, open};
use super::request::Source;

/// What is to be hashed, and how.
#[derive(Clone)]
pub struct HashRequest<'a> {
    /// The image.
    pub source: Source,
    /// Which hashes, all of them in one pass. BLAKE3 alone uses all threads.
    pub algorithms: Vec<HashAlgorithm>,
    /// Threads that work.
    pub threads: NonZeroUsize,
    /// Called from any thread, as it goes on.
    pub progress: Option<&'a (dyn Fn(Progress) + Sync)>,
    /// Stops the work.
    pub cancel: Cancel,
    /// What the image may do while it is opened.
    pub access: Access<'a>,
}

/// Hashes the disk with all that it builds on: the same for every format that it is in.
///
/// # Errors
///
/// As [`open`] and [`Convert::run`].
pub fn hash(request: &HashRequest<'_>) -> Result<Vec<HashValue>> {
    let image = open(&request.source.path, request.source.format.as_deref(), &request.access)?;
    let engine = Convert {
        threads: request.threads,
        progress: request.progress,
        cancel: request.cancel.clone(),
        ..Convert::default()
    };
    let cannot = |e: imgfmt_core::Error| e.context(format!("cannot hash {}", request.source.path.display()));
    imgfmt_core::hash::hash(&image, &request.algorithms, &engine).map_err(cannot)
}
