//! Another size for the disk of an image.

use std::path::PathBuf;

use imgfmt_core::{Error, Preallocation, Result};

use super::open::Access;
use super::request::Source;

/// How the size of a disk changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SizeChange {
    /// It becomes that many guest bytes.
    To(u64),
    /// It becomes larger by that many.
    Grow(u64),
    /// It becomes smaller by that many.
    Shrink(u64),
}

/// Which disk is to have another size.
#[derive(Clone)]
pub struct ResizeRequest<'a> {
    /// The image.
    pub source: Source,
    /// The change.
    pub change: SizeChange,
    /// Whether the disk may become smaller, which loses what lies at its end.
    pub shrink: bool,
    /// What is done about the space that comes to the disk.
    pub preallocation: Preallocation,
    /// What the image may do while it is opened.
    pub access: Access<'a>,
}

impl ResizeRequest<'_> {
    /// The disk of the image at `path`, in a format that is probed, shall change its size.
    pub fn new(path: impl Into<PathBuf>, change: SizeChange) -> Self {
        Self {
            source: Source { path: path.into(), format: None },
            change,
            shrink: false,
            preallocation: Preallocation::Off,
            access: Access::default(),
        }
    }
}

/// What was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resized {
    /// Guest bytes before.
    pub before: u64,
    /// Guest bytes now.
    pub after: u64,
}

/// Gives the disk of an image another size. Bytes that come to it are zero.
///
/// # Errors
///
/// [`Invalid`](imgfmt_core::ErrorKind::Invalid) for sizes that make no sense, and where the disk would become smaller and that
/// is not allowed: then one of the error's levels says [`WOULD_SHRINK`];
/// [`Unsupported`](imgfmt_core::ErrorKind::Unsupported) where the format cannot, and what opening and writing say.
pub fn resize(request: &ResizeRequest<'_>) -> Result<Resized> {
    Err(Error::unsupported(format!("{} cannot be resized yet", request.source.path.display())))
}

/// What an error says, on a level of its own, where a disk would become smaller and that is not allowed.
pub const WOULD_SHRINK: &str = "the disk would become smaller and lose what lies at its end, which has to be allowed";
