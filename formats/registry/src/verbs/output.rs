//! Where a new image goes: beside its target until it is whole, or in place.

use std::io::Write;
use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use imgfmt_core::{Error, Image, Locking, NewRemote, Output, PipeTarget, Remote, Result, Target};

use super::files::{HostFile, is_part_of};
use super::open::RAW;
use super::request::ConvertRequest;

/// An output, and what is known of it.
pub(crate) struct Opened {
    /// Where the writer writes; let go before the output is, which may have to be taken back.
    pub(crate) target: Arc<dyn Target>,
    /// The output.
    pub(crate) output: Output,
    /// Whether it reads as zeros.
    pub(crate) is_zero: bool,
}

/// Opens the output of `request`.
///
/// # Errors
///
/// [`Invalid`](imgfmt_core::ErrorKind::Invalid) where `source` would be overwritten while it is read.
pub(crate) fn open(
    request: &ConvertRequest<'_>,
    source: Option<&dyn Image>,
    pipe: Option<Box<dyn Write + Send>>,
) -> Result<Opened> {
    if let Some(pipe) = pipe {
        let output = Output::pipe(PipeTarget::new(pipe));
        return Ok(Opened { target: output.target(), output, is_zero: true });
    }
    let path = request.target.as_path();
    if let Some(remote) = request.access.remote(path)? {
        return elsewhere(request, remote, source);
    }
    let device = path.metadata().is_ok_and(|metadata| !metadata.is_file());
    // The descriptor of an image may hold none of its bytes.
    let is_top = is_top(request);
    let is_source = is_top || source.map_or(Ok(false), |source| is_held(request, source))?;
    // What takes the place of an image that has been read whole is that image; of a file that it builds on, or that holds a part of
    // it, it is something else.
    if is_source && !is_top {
        return Err(overwritten(request));
    }
    if !request.in_place && !device {
        let locking = request.access.locking(Locking::Write);
        let beside =
            if is_source { Output::create_beside(path, locking)? } else { Some(Output::create_locked(path, locking)?) };
        let output = beside.ok_or_else(|| overwritten(request))?;
        return Ok(Opened { target: output.target(), output, is_zero: true });
    }
    if is_source {
        return Err(overwritten(request));
    }
    let output = Output::in_place(path, request.access.locking(Locking::Write))?;
    let mut target = output.target();
    if !device {
        let len = path.metadata().map_err(|e| Error::io(format!("cannot write to {}", path.display()), e))?.len();
        target = Arc::new(KeptLen { target, len });
    }
    Ok(Opened { target, output, is_zero: request.target_is_zero })
}

/// Opens or makes what is no file of this host.
fn elsewhere(request: &ConvertRequest<'_>, remote: Arc<dyn Remote>, source: Option<&dyn Image>) -> Result<Opened> {
    if is_source(request, &remote)? {
        return Err(overwritten(request));
    }
    let cannot = |e: Error| e.context(format!("cannot write to {}", request.target.display()));
    if request.in_place {
        let medium = remote.open_to_write().map_err(cannot)?;
        let target = Arc::new(KeptLen { len: medium.len(), target: Arc::clone(&medium) as Arc<dyn Target> });
        let output = Output::remote(remote, NewRemote { medium, is_new: false });
        return Ok(Opened { target, output, is_zero: request.target_is_zero });
    }
    // Of other formats nobody knows yet how many bytes they take.
    let len = source.filter(|_| request.target_format == RAW).map_or(0, Image::size);
    let new = remote.create(len).map_err(cannot)?;
    let is_zero = new.is_new;
    let output = Output::remote(remote, new);
    Ok(Opened { target: output.target(), output, is_zero })
}

/// Whether `remote` is one of the sources.
pub(crate) fn is_source(request: &ConvertRequest<'_>, remote: &Arc<dyn Remote>) -> Result<bool> {
    for source in &request.sources {
        let other = request.access.remote(&source.path)?;
        if other.is_some_and(|other| std::ptr::addr_eq(Arc::as_ptr(&other), Arc::as_ptr(remote))) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether the target is a source's own file.
pub(crate) fn is_top(request: &ConvertRequest<'_>) -> bool {
    let is_target = |target| request.sources.iter().any(|source| HostFile::at(&source.path) == Some(target));
    HostFile::at(&request.target).is_some_and(is_target)
}

/// Whether the target holds bytes of `source`.
pub(crate) fn is_held(request: &ConvertRequest<'_>, source: &dyn Image) -> Result<bool> {
    HostFile::at(&request.target).map_or(Ok(false), |target| is_part_of(target, source))
}

/// The target is a source that cannot be kept until it has been read.
pub(crate) fn overwritten(request: &ConvertRequest<'_>) -> Error {
    Error::invalid(format!("{} is a source, and would be overwritten while it is read", request.target.display()))
}

/// A target that keeps its length.
#[derive(Debug)]
struct KeptLen {
    /// The target.
    target: Arc<dyn Target>,
    /// Its length in bytes.
    len: u64,
}

#[deny(clippy::missing_trait_methods)]
impl Target for KeptLen {
    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        self.target.write_at(bytes, offset)
    }

    fn set_len(&self, len: u64) -> Result<()> {
        if len <= self.len {
            return Ok(());
        }
        Err(Error::out_of_bounds(format!("the image takes {len} bytes, and the target has {}", self.len)))
    }

    fn reserve(&self, range: Range<u64>) -> Result<()> {
        self.target.reserve(range)
    }

    fn clear(&self, range: Range<u64>) -> Result<()> {
        self.target.clear(range)
    }

    fn sync(&self) -> Result<()> {
        self.target.sync()
    }

    fn as_file(&self) -> Option<BorrowedFd<'_>> {
        self.target.as_file()
    }

    fn in_order(&self) -> bool {
        self.target.in_order()
    }

    fn kept_len(&self) -> Option<u64> {
        Some(self.len)
    }
}
