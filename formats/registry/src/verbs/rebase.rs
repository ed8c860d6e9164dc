//! Another backing file for an image.

use std::path::PathBuf;

use imgfmt_core::convert::{Cancel, Progress};
use imgfmt_core::{Error, ParentName, Result};

use super::open::Access;
use super::request::Source;

/// Which image is to build on another one.
#[derive(Clone)]
pub struct RebaseRequest<'a> {
    /// The image.
    pub source: Source,
    /// The file that it shall build on: the name is stored as it is here, and a relative one is relative to the image's
    /// folder. Without a format, it is probed. `None`: the image shall stand alone.
    pub backing: Option<ParentName>,
    /// Whether only the name is changed: neither the old nor the new backing file is opened.
    pub unchecked: bool,
    /// Whether what is written into the image is compressed, where the format's editor can.
    pub compress: bool,
    /// Called from any thread, after each part of the disk that is settled.
    pub progress: Option<&'a (dyn Fn(Progress) + Sync)>,
    /// Stops the work. What was written by then is as the disk was before, and the old backing file stays.
    pub cancel: Cancel,
    /// What the image and the backing files may do while they are opened.
    pub access: Access<'a>,
}

impl RebaseRequest<'_> {
    /// The image at `path`, in a format that is probed, shall build on `backing`.
    pub fn new(path: impl Into<PathBuf>, backing: Option<ParentName>) -> Self {
        Self {
            source: Source { path: path.into(), format: None },
            backing,
            unchecked: false,
            compress: false,
            progress: None,
            cancel: Cancel::default(),
            access: Access::default(),
        }
    }
}

/// Makes an image build on another file, or on none. The disk reads as before: where the old and the new backing file differ,
/// the old bytes are written into the image and flushed, and then the name is changed. With
/// [`unchecked`](RebaseRequest::unchecked) it reads as the new file says.
///
/// # Errors
///
/// [`Unsupported`](imgfmt_core::ErrorKind::Unsupported) where the format cannot, what opening, reading and writing say, and
/// [`Cancelled`](imgfmt_core::ErrorKind::Cancelled). The image builds on the old file then.
pub fn rebase(request: &RebaseRequest<'_>) -> Result<()> {
    Err(Error::unsupported(format!("{} cannot be rebased yet", request.source.path.display())))
}
