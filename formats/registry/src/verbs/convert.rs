//! From images to one new image.

use std::io::Write;

use imgfmt_core::convert::Progress;
use imgfmt_core::{Backing, Bitmap, CreateRequest, Error, ErrorKind, Format, Image, ImageWriter, Result};

use super::backing;
use super::input::{Input, Open, spool_stream};
use super::open::{RAW, options_of};
use super::output::{self, Opened};
use super::request::{Bitmaps, ConvertRequest, ConvertSummary, Pipes};

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
/// As [`convert`]; [`Unsupported`](ErrorKind::Unsupported) where the format cannot be written front to back.
pub fn convert_piped(request: &ConvertRequest<'_>, pipes: Pipes) -> Result<ConvertSummary> {
    check(request, &pipes)?;
    options_of(&request.target_format)?;
    let format = request.access.opener().by_name(&request.target_format)?;
    let Input { open, bitmaps, mut spooled } = Input::open(request, pipes.input)?;
    let resolve = |backing| backing::resolve(&request.target, backing, &request.access);
    let backing = request.backing.as_ref().map(resolve).transpose()?;
    let target = output::open(request, open.image(), pipes.output)?;
    let parts =
        Parts { request, format, backing: backing.as_ref(), bitmaps: &sound(request.bitmaps, &bitmaps)?, target };
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
    if request.engine.cancel.is_cancelled() {
        return Err(Error::new(ErrorKind::Cancelled, "the conversion was cancelled"));
    }
    parts.target.output.commit(request.durable)?;
    Ok(summary(done, spooled))
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
    let format = request.access.opener().by_name(&request.target_format)?;
    options_of(&request.target_format)?;
    let target = output::open(request, Some(image), pipe)?;
    let parts = Parts { request, format, backing, bitmaps, target };
    let done = parts.run_image(image)?;
    parts.target.output.commit(request.durable)?;
    Ok(summary(done, None))
}

/// All that a new image is made of, but for its bytes.
struct Parts<'a> {
    /// What is asked for.
    request: &'a ConvertRequest<'a>,
    /// The new image's format.
    format: &'a dyn Format,
    /// The file that it builds on.
    backing: Option<&'a Backing>,
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
        self.writer(&CreateRequest { size_grows: size.is_none(), ..self.create(size.unwrap_or(0)) })
    }

    /// Converts an image.
    fn run_image(&self, image: &dyn Image) -> Result<Progress> {
        let writer = self.writer(&CreateRequest { plan: Some(image), ..self.create(image.size()) })?;
        self.engine().run(image, writer).map_err(|e| self.cannot_convert(e))
    }

    /// The engine, which leaves to the backing file what is its own.
    fn engine(&self) -> imgfmt_core::convert::Convert<'a> {
        let mut engine = self.request.engine.clone();
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

/// The summary of a conversion that came as far as `done`.
fn summary(done: Progress, spooled: Option<String>) -> ConvertSummary {
    ConvertSummary { size: done.size, stored: done.stored, spooled }
}

/// Refuses requests that make no sense.
fn check(request: &ConvertRequest<'_>, pipes: &Pipes) -> Result<()> {
    if request.in_place && request.target_format != RAW {
        let what = format!("an existing image cannot be overwritten as {} yet, only as raw", request.target_format);
        return Err(Error::unsupported(what));
    }
    if request.in_place && request.options.names().next().is_some() {
        return Err(Error::invalid("options are for a new image, and the target is overwritten in place"));
    }
    if request.in_place && pipes.output.is_some() {
        return Err(Error::invalid("a pipe cannot be overwritten in place"));
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
fn sound(which: Bitmaps, bitmaps: &[Box<dyn Bitmap>]) -> Result<Vec<&dyn Bitmap>> {
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
