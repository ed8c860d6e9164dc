//! Another size for the disk of an image.

use std::path::PathBuf;

use imgfmt_core::{Error, Limits, Preallocation, Result};

use super::edited::Edited;
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
    let resize = || {
        let image = Edited::open(&request.source, &request.access)?;
        image.edit(|editor| {
            let before = editor.image()?.size();
            let after = size_after(request, before)?;
            if after != before {
                editor.resize(after, request.preallocation)?;
            }
            Ok(Resized { before, after })
        })
    };
    resize().map_err(|e| e.context(format!("cannot resize {}", request.source.path.display())))
}

/// The size that a disk of `before` bytes is to have.
fn size_after(request: &ResizeRequest<'_>, before: u64) -> Result<u64> {
    let after = match request.change {
        SizeChange::To(size) => size,
        SizeChange::Grow(by) => before
            .checked_add(by)
            .ok_or_else(|| Error::invalid(format!("a disk of {before} bytes cannot grow by {by}")))?,
        SizeChange::Shrink(by) => before
            .checked_sub(by)
            .ok_or_else(|| Error::invalid(format!("a disk of {before} bytes cannot shrink by {by}")))?,
    };
    Limits::check("virtual size", after, request.access.limits.virtual_size)?;
    if after >= before {
        return Ok(after);
    }
    if !request.shrink {
        return Err(Error::invalid(WOULD_SHRINK));
    }
    if request.preallocation != Preallocation::Off {
        return Err(Error::invalid("no space comes to a disk that becomes smaller, so none can be preallocated"));
    }
    Ok(after)
}

/// What an error says, on a level of its own, where a disk would become smaller and that is not allowed.
pub const WOULD_SHRINK: &str = "the disk would become smaller and lose what lies at its end, which has to be allowed";
