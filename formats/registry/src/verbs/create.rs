//! A new image that stores nothing.

use std::path::PathBuf;

use imgfmt_core::{Error, Options, ParentName, Result};

use super::open::Access;

/// What a new image is to be.
#[derive(Clone)]
pub struct CreateImage<'a> {
    /// Where it goes. What is there is replaced once the new image is whole; a device is written in place.
    pub path: PathBuf,
    /// The name of its format.
    pub format: String,
    /// Guest bytes of its disk; `None` is the backing file's.
    pub size: Option<u64>,
    /// Options of its format.
    pub options: Options,
    /// The file that it builds on; the name is stored as it is here, and a relative one is relative to the image's folder.
    /// Without a format, it is probed.
    pub backing: Option<ParentName>,
    /// Whether the backing file is not opened: it need not be there. Its size has to be said then.
    pub unchecked_backing: bool,
    /// What the backing file may do while it is opened.
    pub access: Access<'a>,
}

impl CreateImage<'_> {
    /// A new image at `path`, in the format of that name, for a disk of `size` bytes.
    pub fn new(path: impl Into<PathBuf>, format: impl Into<String>, size: u64) -> Self {
        Self {
            path: path.into(),
            format: format.into(),
            size: Some(size),
            options: Options::default(),
            backing: None,
            unchecked_backing: false,
            access: Access::default(),
        }
    }
}

/// What was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Created {
    /// Guest bytes of the disk.
    pub size: u64,
}

/// Makes a new image that stores nothing: it reads as zeros, or as its backing file. All or nothing, also where the image
/// has several files.
///
/// # Errors
///
/// [`Invalid`](imgfmt_core::ErrorKind::Invalid) for options, sizes and backing files that the format does not have, and without
/// any size; what opening the backing file says; [`Io`](imgfmt_core::ErrorKind::Io) where the target fails.
pub fn create(request: &CreateImage<'_>) -> Result<Created> {
    Err(Error::unsupported(format!("{} cannot be created yet", request.path.display())))
}
