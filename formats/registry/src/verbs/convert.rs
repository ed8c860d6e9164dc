//! From images to one new image.

use std::io::Write;
use std::num::NonZeroU64;
use std::sync::{Mutex, OnceLock, PoisonError};

use imgfmt_core::convert::{Convert, Progress, Salvage};
use imgfmt_core::hash::Hasher;
use imgfmt_core::{
    Backing, Bitmap, CreateRequest, Error, ErrorKind, Format, HashAlgorithm, HashValue, Image, ImageWriter, Result,
};

use super::backing;
use super::files::HostFile;
use super::input::{Input, Open, spool_stream};
use super::onto;
use super::open::{RAW, options_of};
use super::others::OtherFiles;
use super::output::{self, Opened};
use super::request::{Bitmaps, ConvertRequest, ConvertSummary, Pipes};
use super::verify;

/// Converts. A target that is not written in place is untouched until the new image is whole.
///
/// # Errors
///
/// Those of opening, reading and writing; [`Invalid`](ErrorKind::Invalid) for a request that makes no sense,
/// also where a source would be overwritten while it is read; [`Cancelled`](ErrorKind::Cancelled).
pub fn convert(request: &ConvertRequest<'_>) -> Result<ConvertSummary> {
    convert_piped(request, Pipes::default())
}

/// Converts from a pipe, into one, or both. What can be read in one pass is converted while it arrives; the rest is kept
/// in a temporary file first.
///
/// # Errors
///
/// As [`convert`]; [`Unsupported`](ErrorKind::Unsupported) where the format cannot be written front to back;
/// [`Malformed`](ErrorKind::Malformed) where what was written reads as something else.
pub fn convert_piped(request: &ConvertRequest<'_>, pipes: Pipes) -> Result<ConvertSummary> {
    check(request, &pipes)?;
    options_of(&request.target_format)?;
    let on_the_way = OnTheWay::new(request);
    let engine = on_the_way.engine(request)?;
    let done = if request.in_place && request.target_format != RAW {
        onto::convert(request, &engine, pipes, &on_the_way)?
    } else {
        write(request, &engine, pipes, &on_the_way)?
    };
    on_the_way.summary(request, done)
}

/// Converts to a new image, or onto a raw one.
fn write(request: &ConvertRequest<'_>, engine: &Convert<'_>, pipes: Pipes, on_the_way: &OnTheWay) -> Result<Converted> {
    let format = request.access.opener().by_name(&request.target_format)?;
    let Input { open, bitmaps, mut spooled } = Input::open(request, pipes.input)?;
    let resolve = |backing| backing::resolve(&request.target, backing, &request.access);
    let below = request.backing.as_ref().map(resolve).transpose()?;
    let target = output::open(request, open.image(), pipes.output)?;
    let bitmaps = &sound(request.bitmaps, &bitmaps)?;
    let (backing, below) = below.map_or((None, Vec::new()), |below| (Some(below.backing), below.files));
    let parts = Parts { request, engine, format, backing: backing.as_ref(), below, bitmaps, target };
    let done = match open {
        Open::Image(image) => parts.run_image(image.as_ref())?,
        Open::Stream(mut stream) => match parts.writer_of_stream(stream.size()) {
            Err(error) if stream.size().is_none() && error.kind() == ErrorKind::Unsupported => {
                let image = spool_stream(request, stream.as_mut())?;
                spooled = Some(innermost(&error));
                parts.run_image(image.as_ref())?
            }
            writer => parts.engine().run_stream(stream.as_mut(), writer?).map_err(|e| parts.cannot_convert(e))?,
        },
    };
    parts.finish(done, on_the_way)?;
    Ok(Converted { done, spooled })
}

/// An error that was met when what was written was read back.
pub(crate) fn not_right(request: &ConvertRequest<'_>, error: Error) -> Error {
    error.context(format!("what was written to {} is not right", request.target.display()))
}

/// Says so where the conversion was cancelled.
pub(crate) fn cancelled(request: &ConvertRequest<'_>) -> Result<()> {
    if request.engine.cancel.is_cancelled() {
        return Err(Error::new(ErrorKind::Cancelled, "the conversion was cancelled"));
    }
    Ok(())
}

/// A conversion that was made.
pub(crate) struct Converted {
    /// How far it came.
    pub(crate) done: Progress,
    /// Why the input had to be kept in a temporary file first, where it had to.
    pub(crate) spooled: Option<String>,
}

/// What is learned while a disk is converted.
pub(crate) struct OnTheWay {
    /// The hashes of its content.
    hasher: Mutex<Hasher>,
    /// The hashes, once all has been read.
    hashes: OnceLock<Vec<HashValue>>,
    /// What could not be read.
    salvage: Salvage,
}

impl OnTheWay {
    /// Nothing is learned yet. Where the new image is to be verified, one more hash is needed than those asked for.
    fn new(request: &ConvertRequest<'_>) -> Self {
        let mut algorithms = request.hashes.clone();
        if request.verify {
            algorithms.push(HashAlgorithm::Blake3);
        }
        Self { hasher: Mutex::new(Hasher::new(&algorithms)), hashes: OnceLock::new(), salvage: Salvage::new() }
    }

    /// The engine of `request`, which tells what there is to learn.
    fn engine<'a>(&'a self, request: &ConvertRequest<'a>) -> Result<Convert<'a>> {
        let hashes = request.verify || !request.hashes.is_empty();
        let rate = request.rate_limit.map(|rate| {
            NonZeroU64::new(rate).ok_or_else(|| Error::invalid("at a rate of 0, nothing would ever be written"))
        });
        Ok(Convert {
            hasher: hashes.then_some(&self.hasher),
            salvage: request.salvage.then_some(&self.salvage),
            rate_limit: rate.transpose()?.or(request.engine.rate_limit),
            ..request.engine.clone()
        })
    }

    /// The hashes, once all has been read.
    pub(crate) fn hashes(&self) -> &[HashValue] {
        self.hashes.get_or_init(|| {
            let mut hasher = self.hasher.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *hasher, Hasher::new(&[])).finish()
        })
    }

    /// The summary of the conversion `converted`.
    fn summary(self, request: &ConvertRequest<'_>, converted: Converted) -> Result<ConvertSummary> {
        let Converted { done, spooled } = converted;
        let mut hashes = self.hashes().to_vec();
        hashes.truncate(request.hashes.len());
        Ok(ConvertSummary { size: done.size, stored: done.stored, spooled, hashes, lost: self.salvage.into_lost() })
    }
}

/// Converts `image`, whatever the request has for sources, to an image that builds on `backing` and carries `bitmaps`.
///
/// # Errors
///
/// As [`convert`].
pub(crate) fn convert_image(
    request: &ConvertRequest<'_>,
    image: &dyn Image,
    backing: Option<&Backing>,
    bitmaps: &[&dyn Bitmap],
    pipe: Option<Box<dyn Write + Send>>,
) -> Result<ConvertSummary> {
    options_of(&request.target_format)?;
    let on_the_way = OnTheWay::new(request);
    let engine = on_the_way.engine(request)?;
    if request.in_place && request.target_format != RAW {
        let done = onto::convert_image(request, &engine, image, bitmaps, &on_the_way)?;
        return on_the_way.summary(request, Converted { done, spooled: None });
    }
    let format = request.access.opener().by_name(&request.target_format)?;
    let target = output::open(request, Some(image), pipe)?;
    let below = backing.and_then(|backing| HostFile::at(backing.path.as_deref()?)).into_iter().collect();
    let parts = Parts { request, engine: &engine, format, backing, below, bitmaps, target };
    let done = parts.run_image(image)?;
    parts.finish(done, &on_the_way)?;
    on_the_way.summary(request, Converted { done, spooled: None })
}

/// All that a new image is made of, but for its bytes.
struct Parts<'a> {
    /// What is asked for.
    request: &'a ConvertRequest<'a>,
    /// How it is done.
    engine: &'a Convert<'a>,
    /// The new image's format.
    format: &'a dyn Format,
    /// The file that it builds on.
    backing: Option<&'a Backing>,
    /// The files that hold the bytes of that file, and of what is below it.
    below: Vec<HostFile>,
    /// The bitmaps that it shall carry.
    bitmaps: &'a [&'a dyn Bitmap],
    /// Where it goes.
    target: Opened,
}

impl<'a> Parts<'a> {
    /// What the format is told, for a disk of `size` bytes.
    fn create(&self, size: u64) -> CreateRequest<'_> {
        let request = self.request;
        CreateRequest {
            compress: request.compress,
            backing: self.backing,
            full_allocation: request.full_allocation,
            target_is_zero: self.target.is_zero,
            file_name: request.target.file_name(),
            files: &self.target.output,
            secrets: request.access.secrets,
            bitmaps: self.bitmaps,
            ..CreateRequest::new(size, &request.options)
        }
    }

    /// Starts the new image.
    fn writer(&self, create: &CreateRequest<'_>) -> Result<Box<dyn ImageWriter>> {
        let target = self.target.target.clone();
        let cannot = |e: Error| e.in_format(self.format.name()).context(format!("cannot create {}", self.name()));
        self.format.create(target, create).map_err(cannot)
    }

    /// Starts the new image for a stream, whose size may be known in the end only.
    fn writer_of_stream(&self, size: Option<u64>) -> Result<Box<dyn ImageWriter>> {
        let files = self.other_files();
        self.writer(&CreateRequest { size_grows: size.is_none(), files: &files, ..self.create(size.unwrap_or(0)) })
    }

    /// Makes the files that the new image has besides its own.
    fn other_files(&self) -> OtherFiles<'_> {
        let request = self.request;
        let sources = request.sources.iter().filter_map(|source| HostFile::at(&source.path));
        let kept = sources.chain(self.below.iter().copied()).collect();
        OtherFiles::new(&self.target.output, &request.target, kept)
    }

    /// Converts an image.
    fn run_image(&self, image: &dyn Image) -> Result<Progress> {
        let files = self.other_files().and(image)?;
        let writer = self.writer(&CreateRequest { plan: Some(image), files: &files, ..self.create(image.size()) })?;
        self.engine().run(image, writer).map_err(|e| self.cannot_convert(e))
    }

    /// Gives the new image its name, once it has been verified where that was asked for.
    fn finish(self, done: Progress, on_the_way: &OnTheWay) -> Result<()> {
        let request = self.request;
        cancelled(request)?;
        if request.verify {
            verify::check(request, &self.target.output, done.size, on_the_way.hashes())
                .map_err(|e| not_right(request, e))?;
        }
        self.target.output.commit(request.durable)
    }

    /// The engine, which leaves to the backing file what is its own.
    fn engine(&self) -> Convert<'a> {
        let mut engine = self.engine.clone();
        engine.absent_from = self.backing.is_some().then_some(FIRST_LAYER_BELOW);
        engine
    }

    /// An error of the conversion itself.
    fn cannot_convert(&self, error: Error) -> Error {
        error.context(format!("cannot convert to {}", self.name()))
    }

    /// What the target is called.
    fn name(&self) -> std::path::Display<'_> {
        self.request.target.display()
    }
}

/// What an error says at its lowest level.
fn innermost(error: &Error) -> String {
    let mut level: &dyn std::error::Error = error;
    while let Some(below) = level.source() {
        level = below;
    }
    level.to_string()
}

/// Refuses requests that make no sense.
fn check(request: &ConvertRequest<'_>, pipes: &Pipes) -> Result<()> {
    if request.in_place && request.target_format != RAW && request.backing.is_some() {
        return Err(Error::invalid("a backing file is for a new image, and the target is overwritten in place"));
    }
    if request.in_place && request.target_format == RAW && request.options.names().next().is_some() {
        return Err(Error::invalid("options are for a new image, and the target is overwritten in place"));
    }
    if request.in_place && request.target_format == RAW && request.bitmaps != Bitmaps::Leave {
        return Err(Error::unsupported("images in the format raw have no bitmaps"));
    }
    if request.in_place && pipes.output.is_some() {
        return Err(Error::invalid("a pipe cannot be overwritten in place"));
    }
    if request.verify && pipes.output.is_some() {
        return Err(Error::invalid("what went into a pipe cannot be read back to verify it; write to a file"));
    }
    if request.sources.len() > 1 {
        let what = match request {
            _ if request.backing.is_some() => "a backing file makes no sense for several sources",
            _ if request.bitmaps != Bitmaps::Leave => "bitmaps of several sources cannot be put together",
            _ if pipes.input.is_some() => "a pipe and other sources cannot be put together",
            _ => return Ok(()),
        };
        return Err(Error::invalid(what));
    }
    Ok(())
}

/// The bitmaps to copy.
pub(crate) fn sound(which: Bitmaps, bitmaps: &[Box<dyn Bitmap>]) -> Result<Vec<&dyn Bitmap>> {
    let mut copied = Vec::new();
    for bitmap in bitmaps {
        match (which, bitmap.info().inconsistent) {
            (Bitmaps::Leave, _) | (Bitmaps::CopySound, true) => {}
            (Bitmaps::Copy, true) => {
                let what = "was in use when the image was last closed, and cannot be relied on";
                return Err(Error::malformed(format!("bitmap {} {what}", bitmap.info().name)));
            }
            (_, false) => copied.push(bitmap.as_ref()),
        }
    }
    Ok(copied)
}

/// The first layer of the source that a backing file stands for: the one below the top.
pub(crate) const FIRST_LAYER_BELOW: u16 = 1;

#[cfg(test)]
mod tests {
    use imgfmt_core::ParentName;

    use super::*;

    /// A folder with a disk `base` of 1 MiB, half of it data.
    fn folder() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let disk = [vec![5; 1 << 19], vec![0; 1 << 19]].concat();
        std::fs::write(dir.path().join("base"), disk).unwrap();
        dir
    }

    #[test]
    #[cfg(feature = "qcow2")]
    fn what_was_written_in_place_is_read_back() {
        use imgfmt_core::convert::Convert;
        use imgfmt_core::{Chain, HashAlgorithm};

        let dir = folder();
        let path = |name: &str| dir.path().join(name);
        convert(&ConvertRequest::new(path("base"), path("target"), "qcow2")).unwrap();
        std::fs::write(path("other"), vec![7; 1 << 20]).unwrap();
        let mut request = ConvertRequest::new(path("other"), path("target"), "qcow2");
        (request.in_place, request.verify) = (true, true);
        let summary = convert(&request).unwrap();
        assert!(summary.hashes.is_empty());

        let hash = |name: &str| {
            let layers = super::super::open::open_layers(&path(name), Some("raw"), &request.access).unwrap();
            let disk = Chain::new(layers.into_iter().map(|layer| layer.image).collect()).unwrap();
            imgfmt_core::hash::hash(&disk, &[HashAlgorithm::Blake3], &Convert::default()).unwrap()
        };
        verify::check_in_place(&request, 1 << 20, &hash("other")).unwrap();
        let wrong = verify::check_in_place(&request, 1 << 20, &hash("base")).unwrap_err();
        assert_eq!(wrong.kind(), ErrorKind::Malformed);
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
