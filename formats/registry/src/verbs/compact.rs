//! An image that takes no more space than its bytes need.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use imgfmt_core::convert::{Cancel, Progress};
use imgfmt_core::{Error, Options, Result};

use super::open::Access;
use super::request::Source;

/// Which image is to be made smaller, and how.
#[derive(Clone)]
pub struct CompactRequest<'a> {
    /// The image.
    pub source: Source,
    /// Where the smaller image goes; `None` replaces the image itself, once the new one is whole.
    pub output: Option<PathBuf>,
    /// Whether the image is changed where it is, in place of being written anew: space that zeros take is given back.
    pub in_place: bool,
    /// Whether the new image is compressed; `None` leaves it as it is.
    pub compress: Option<bool>,
    /// Options of the new image that are to be others than those of the image.
    pub options: Options,
    /// Called from any thread, after each part of the disk that is settled.
    pub progress: Option<&'a (dyn Fn(Progress) + Sync)>,
    /// Stops the work.
    pub cancel: Cancel,
    /// Threads that work.
    pub threads: NonZeroUsize,
    /// What the image may do while it is opened.
    pub access: Access<'a>,
}

impl CompactRequest<'_> {
    /// The image at `path`, in a format that is probed, is replaced by a smaller one.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            source: Source { path: path.into(), format: None },
            output: None,
            in_place: false,
            compress: None,
            options: Options::default(),
            progress: None,
            cancel: Cancel::default(),
            threads: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            access: Access::default(),
        }
    }
}

/// What was gained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compacted {
    /// Bytes that the image's files took on the host before, holes not counted.
    pub before: u64,
    /// Bytes that they take now.
    pub after: u64,
}

/// Makes an image smaller: what is zero is not stored, and space that nothing uses is given back. Format, subformat, options,
/// the backing file's name and bitmaps stay as they are.
///
/// # Errors
///
/// [`Unsupported`](imgfmt_core::ErrorKind::Unsupported) for what a new image could not keep, such as internal snapshots, and
/// for formats that cannot be written, or not be changed in place; what opening, reading and writing say, and
/// [`Cancelled`](imgfmt_core::ErrorKind::Cancelled). The image reads as before then.
pub fn compact(request: &CompactRequest<'_>) -> Result<Compacted> {
    Err(Error::unsupported(format!("{} cannot be compacted yet", request.source.path.display())))
}
