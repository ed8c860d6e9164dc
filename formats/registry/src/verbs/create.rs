//! A new image that stores nothing.

use std::path::PathBuf;

use imgfmt_core::convert::Convert;
use imgfmt_core::{Backing, Blank, CreateRequest, Error, Locking, Options, Output, ParentName, Result};

use super::backing::{self, Below, folder_of};
use super::convert::FIRST_LAYER_BELOW;
use super::files::HostFile;
use super::open::{Access, RAW, options_of};
use super::others::OtherFiles;

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

/// Makes a new image that stores nothing: it reads as zeros, or as its backing file; a raw image on a device has what was
/// there, and an encrypted one of a format without tables reads as noise. All or nothing, also where the image has several files, but for devices.
///
/// # Errors
///
/// [`Invalid`](imgfmt_core::ErrorKind::Invalid) for options, sizes and backing files that the format does not have, and without
/// any size; what opening the backing file says; [`Io`](imgfmt_core::ErrorKind::Io) where the target fails.
pub fn create(request: &CreateImage<'_>) -> Result<Created> {
    options_of(&request.format)?;
    let below = request.backing.as_ref().map(|name| below(request, name)).transpose()?;
    let size = request.size.or(below.as_ref().map(|below| below.backing.size));
    let size = size.ok_or_else(|| Error::invalid("a new image needs a size, or a backing file that has one"))?;
    write(request, size, below.as_ref()).map_err(|e| e.context(format!("cannot create {}", request.path.display())))?;
    Ok(Created { size })
}

/// The file that the new image builds on.
fn below(request: &CreateImage<'_>, name: &ParentName) -> Result<Below> {
    if !request.unchecked_backing {
        return backing::resolve(&request.path, name, &request.access);
    }
    let size = request.size.ok_or_else(|| Error::invalid("a backing file that is not opened tells no size"))?;
    let path = folder_of(&request.path).join(&name.name).canonicalize().ok();
    let files = path.as_deref().and_then(HostFile::at).into_iter().collect();
    Ok(Below { backing: Backing { name: backing::as_stored(name), path, identities: Vec::new(), size }, files })
}

/// Where the new image goes, and whether something may be there already.
fn output(request: &CreateImage<'_>, size: u64) -> Result<(Output, bool)> {
    let Some(remote) = request.access.remote(&request.path)? else {
        let is_device = request.path.metadata().is_ok_and(|metadata| !metadata.is_file());
        let output = Output::create_locked(&request.path, request.access.locking(Locking::Write))?;
        return Ok((output, is_device));
    };
    let new = remote.create(if request.format == RAW { size } else { 0 })?;
    let in_place = !new.is_new;
    Ok((Output::remote(remote, new), in_place))
}

/// Writes the new image, for a disk of `size` bytes.
fn write(request: &CreateImage<'_>, size: u64, below: Option<&Below>) -> Result<()> {
    let format = request.access.opener().by_name(&request.format)?;
    let (output, in_place) = output(request, size)?;
    let backing = below.map(|below| &below.backing);
    let disk = Blank::new(size).in_layer(if backing.is_some() { FIRST_LAYER_BELOW } else { 0 });
    let kept = below.map_or(Vec::new(), |below| below.files.clone());
    let files = OtherFiles::new(&output, &request.path, kept);
    let create = CreateRequest {
        backing,
        // What is on a device is not overwritten for the sake of zeros: that would take as long as a copy.
        target_is_zero: !in_place || format.name() == RAW,
        blank: true,
        file_name: request.path.file_name(),
        files: &files,
        secrets: request.access.secrets,
        plan: Some(&disk),
        ..CreateRequest::new(size, &request.options)
    };
    let writer = format.create(output.target(), &create).map_err(|e| e.in_format(format.name()))?;
    let engine = Convert { absent_from: backing.map(|_| FIRST_LAYER_BELOW), ..Convert::default() };
    engine.run(&disk, writer)?;
    output.commit(true)
}
