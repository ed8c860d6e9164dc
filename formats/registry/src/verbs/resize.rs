//! Another size for the disk of an image.

use std::path::PathBuf;

use imgfmt_core::{Chain, Error, ErrorKind, Image, ImageEditor, Layer, Limits, Opened, Preallocation, Result};

use super::edited::Edited;
use super::open::Access;
use super::request::Source;
use super::store::buffer;

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
        let below = layers_below(request, &image);
        image.edit(|editor| {
            let before = editor.image()?.size();
            let after = size_after(request, before)?;
            if after != before {
                resize_on(editor, after, request.preallocation, below)?;
            }
            Ok(Resized { before, after })
        })
    };
    resize().map_err(|e| e.context(format!("cannot resize {}", request.source.path.display())))
}

/// The layers that the image builds on, where it becomes larger.
fn layers_below(request: &ResizeRequest<'_>, image: &Edited<'_>) -> Vec<Layer> {
    let grows = |opened: &Opened| size_after(request, opened.image.size()).is_ok_and(|size| size > opened.image.size());
    if image.layer().is_ok_and(|opened| grows(&opened)) { image.layers_below() } else { Vec::new() }
}

/// Makes the disk of `editor` `size` bytes large, which builds on `below`. Where its last unit is in part the parent's, and the disk
/// goes on behind it, the image gets that part first.
fn resize_on(editor: &dyn ImageEditor, size: u64, preallocation: Preallocation, below: Vec<Layer>) -> Result<()> {
    if let Some(parent) = below.first() {
        editor.set_parent_size(parent.image.size());
    }
    match editor.resize(size, preallocation) {
        Err(error) if error.kind() == ErrorKind::Missing && !below.is_empty() => {
            own_last_unit(editor, below)?;
            editor.resize(size, preallocation)
        }
        done => done,
    }
}

/// Gives the image of `editor`, which builds on `below`, the part of its last unit that it leaves to them.
///
/// # Errors
///
/// What reading and writing meet.
pub(super) fn own_last_unit(editor: &dyn ImageEditor, below: Vec<Layer>) -> Result<()> {
    let top = editor.image()?;
    let unit = top.describe().cluster_size.unwrap_or(1).max(1);
    let end = top.size();
    let last = end - end % unit..end;
    let chain = Chain::new(std::iter::once(top).chain(below.into_iter().map(|layer| layer.image)).collect())?;
    let mut bytes = buffer(&last)?;
    chain.read_at(&mut bytes, last.start)?;
    editor.write_at(&bytes, last.start)
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
