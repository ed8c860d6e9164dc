//! From images to one new image.

use std::path::{Path, PathBuf};

use imgfmt_core::convert::{Convert, Progress};
use imgfmt_core::{Backing, Concat, CreateRequest, Error, ErrorKind, Image, Options, ParentName, Result};

use super::files::{HostFile, is_part_of};
use super::open::{Access, RAW, open, open_layers, options_of};
use super::output;

/// An image to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Where it is.
    pub path: PathBuf,
    /// Its format, where it is not to be probed.
    pub format: Option<String>,
}

/// What is to be converted to what, and how. [`new`](Self::new) has what is right for most.
#[derive(Clone)]
pub struct ConvertRequest<'a> {
    /// What is read: several disks become one, one behind the other.
    pub sources: Vec<Source>,
    /// Where the new image goes. What is there is replaced once the new image is whole; a device is
    /// written in place.
    pub target: PathBuf,
    /// The name of the new image's format.
    pub target_format: String,
    /// Options of the new image's format.
    pub options: Options,
    /// Whether the new image is compressed.
    pub compress: bool,
    /// Whether zeros take space in the new image, too.
    pub full_allocation: bool,
    /// The file that the new image builds on; its name is stored as it is here, and a relative one is
    /// relative to the target's folder. Only the top layer of the source is converted, for the file is
    /// taken to hold what the layers below hold. Without a format, it is probed.
    pub backing: Option<ParentName>,
    /// Whether the target exists and is overwritten in place, keeping its length. Only for raw targets.
    pub in_place: bool,
    /// Whether a target that is written in place reads as zeros already.
    pub target_is_zero: bool,
    /// Whether the new image is on the medium when [`convert`] returns.
    pub durable: bool,
    /// What the sources may do while they are opened.
    pub access: Access<'a>,
    /// Threads, zeros to find, progress and cancellation.
    pub engine: Convert<'a>,
}

impl ConvertRequest<'_> {
    /// A request to convert the image at `source` to an image of `target_format` at `target`.
    pub fn new(source: impl Into<PathBuf>, target: impl Into<PathBuf>, target_format: impl Into<String>) -> Self {
        Self {
            sources: vec![Source { path: source.into(), format: None }],
            target: target.into(),
            target_format: target_format.into(),
            options: Options::default(),
            compress: false,
            full_allocation: false,
            backing: None,
            in_place: false,
            target_is_zero: false,
            durable: false,
            access: Access::default(),
            engine: Convert::default(),
        }
    }
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvertSummary {
    /// Guest bytes of the new image.
    pub size: u64,
    /// Bytes of guest data that were stored, in whatever form.
    pub stored: u64,
}

/// Converts. A target that is not written in place is untouched until the new image is whole.
///
/// # Errors
///
/// Those of opening, reading and writing; [`Invalid`](ErrorKind::Invalid) for a request that makes no sense,
/// also where a source would be overwritten while it is read; [`Cancelled`](ErrorKind::Cancelled).
pub fn convert(request: &ConvertRequest<'_>) -> Result<ConvertSummary> {
    check(request)?;
    options_of(&request.target_format)?;
    let opener = request.access.opener();
    let format = opener.by_name(&request.target_format)?;
    let source = open_sources(request)?;
    let backing = request.backing.as_ref().map(|backing| resolve_backing(request, backing)).transpose()?;
    let opened = output::open(request, source.as_ref())?;
    let create = CreateRequest {
        compress: request.compress,
        backing: backing.as_ref(),
        full_allocation: request.full_allocation,
        target_is_zero: opened.is_zero,
        file_name: request.target.file_name(),
        secrets: request.access.secrets,
        ..CreateRequest::new(source.size(), &request.options)
    };
    let cannot = |verb: &str| format!("cannot {verb} {}", request.target.display());
    let writer = format.create(opened.target, &create).map_err(|e| e.context(cannot("create")))?;
    let mut engine = request.engine.clone();
    engine.absent_from = backing.is_some().then_some(FIRST_LAYER_BELOW);
    let done = engine.run(source.as_ref(), writer).map_err(|e| e.context(cannot("convert to")))?;
    if engine.cancel.is_cancelled() {
        return Err(Error::new(ErrorKind::Cancelled, "the conversion was cancelled"));
    }
    opened.output.commit(request.durable)?;
    Ok(summary(done))
}

/// The summary of a conversion that came as far as `done`.
fn summary(done: Progress) -> ConvertSummary {
    ConvertSummary { size: done.size, stored: done.stored }
}

/// Refuses requests that make no sense.
fn check(request: &ConvertRequest<'_>) -> Result<()> {
    if request.in_place && request.target_format != RAW {
        let what = format!("an existing image cannot be overwritten as {} yet, only as raw", request.target_format);
        return Err(Error::unsupported(what));
    }
    if request.in_place && request.options.names().next().is_some() {
        return Err(Error::invalid("options are for a new image, and the target is overwritten in place"));
    }
    if request.backing.is_some() && request.sources.len() > 1 {
        return Err(Error::invalid("a backing file makes no sense for several sources"));
    }
    Ok(())
}

/// Opens the sources, as one disk.
fn open_sources(request: &ConvertRequest<'_>) -> Result<Box<dyn Image>> {
    let mut disks = Vec::with_capacity(request.sources.len());
    for source in &request.sources {
        disks.push(Box::new(open(&source.path, source.format.as_deref(), &request.access)?) as Box<dyn Image>);
    }
    match disks.pop() {
        Some(only) if disks.is_empty() => Ok(only),
        last => {
            disks.extend(last);
            Ok(Box::new(Concat::new(disks)?))
        }
    }
}

/// Opens the backing file that the new image is to have, which shows that it is there and what it is.
fn resolve_backing(request: &ConvertRequest<'_>, backing: &ParentName) -> Result<Backing> {
    let folder = request.target.parent().unwrap_or(Path::new(""));
    let layers = open_layers(&folder.join(&backing.name), backing.format.as_deref(), &request.access)?;
    let target = HostFile::at(&request.target);
    for layer in &layers {
        if let Some(target) = target
            && is_part_of(target, layer.image.as_ref())?
        {
            let what = format!("{} would become its own backing file", request.target.display());
            return Err(Error::invalid(what));
        }
    }
    let top = layers.first().ok_or_else(|| Error::invalid("a chain needs a layer"))?;
    Ok(Backing {
        name: ParentName { name: backing.name.clone(), format: Some(top.format.to_owned()) },
        path: folder.join(&backing.name).canonicalize().ok(),
        identities: top.image.describe().identities,
        size: top.image.size(),
    })
}

/// The first layer of the source that a backing file stands for: the one below the top.
const FIRST_LAYER_BELOW: u16 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder with a disk `base` of 1 MiB, half of it data.
    fn folder() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let disk = [vec![5; 1 << 19], vec![0; 1 << 19]].concat();
        std::fs::write(dir.path().join("base"), disk).unwrap();
        dir
    }

    #[test]
    fn a_cancelled_conversion_leaves_nothing() {
        let dir = folder();
        let request = ConvertRequest::new(dir.path().join("base"), dir.path().join("out"), "raw");
        request.engine.cancel.cancel();
        assert_eq!(convert(&request).unwrap_err().kind(), ErrorKind::Cancelled);
        assert_eq!(dir.path().read_dir().unwrap().count(), 1);
    }

    #[test]
    #[cfg(feature = "qcow2")]
    fn the_default_opens_no_backing_file() {
        let dir = folder();
        let path = |name: &str| dir.path().join(name);
        let mut request = ConvertRequest::new(path("base"), path("top"), "qcow2");
        request.backing = Some(ParentName { name: "base".into(), format: None });
        convert(&request).unwrap();
        let request = ConvertRequest::new(path("top"), path("out"), "raw");
        assert_eq!(convert(&request).unwrap_err().kind(), ErrorKind::Refused);
        assert!(!path("out").exists());
    }

    #[test]
    fn without_a_fallback_unknown_bytes_are_refused() {
        let dir = folder();
        let mut request = ConvertRequest::new(dir.path().join("base"), dir.path().join("out"), "raw");
        request.access.fallback = None;
        assert_eq!(convert(&request).unwrap_err().kind(), ErrorKind::Unsupported);
    }
}
