//! A part of one disk as another.

use std::io::Read;
use std::path::PathBuf;

use imgfmt_core::convert::Convert;
use imgfmt_core::storage::spool;
use imgfmt_core::{Blank, Concat, Error, Image, Options, Part, Result};

use super::convert::{convert_image, convert_piped};
use super::open::{Access, RAW, open};
use super::output;
use super::request::{ConvertRequest, ConvertSummary, Pipes, Source};

/// What is to be copied from where to where.
#[derive(Clone)]
pub struct DdRequest<'a> {
    /// The image that is read, with all that it builds on.
    pub input: Source,
    /// Where the new image goes. What is there is replaced once the new image is whole; a device is written in place.
    pub output: PathBuf,
    /// The name of its format.
    pub output_format: String,
    /// Options of its format.
    pub options: Options,
    /// Bytes of a block.
    pub block_size: u64,
    /// Blocks that are copied at most; `None` is all that there are.
    pub count: Option<u64>,
    /// Blocks of the input that are left out before.
    pub skip: u64,
    /// Guest bytes of the new image, where it is not to be as large as what is copied; what lies behind that is zero.
    pub output_size: Option<u64>,
    /// Whether the output exists and is overwritten in place, keeping its size.
    pub in_place: bool,
    /// What the input may do while it is opened.
    pub access: Access<'a>,
    /// Threads, zeros to find, progress and cancellation.
    pub engine: Convert<'a>,
}

impl DdRequest<'_> {
    /// All of the image at `input`, in a format that is probed, as a raw image at `output`, in blocks of 512 bytes.
    pub fn new(input: impl Into<PathBuf>, output: impl Into<PathBuf>) -> Self {
        Self {
            input: Source { path: input.into(), format: None },
            output: output.into(),
            output_format: RAW.into(),
            options: Options::default(),
            block_size: DEFAULT_BLOCK_SIZE,
            count: None,
            skip: 0,
            output_size: None,
            in_place: false,
            access: Access::default(),
            engine: Convert::default(),
        }
    }
}

/// Copies a part of a disk. A count that passes the end of the disk is cut there; a skip that does leaves nothing.
///
/// # Errors
///
/// As [`convert`](fn@crate::convert).
pub fn dd(request: &DdRequest<'_>) -> Result<ConvertSummary> {
    dd_piped(request, Pipes::default())
}

/// Copies a part of a disk from a pipe, into one, or both.
///
/// # Errors
///
/// As [`convert_piped`].
pub fn dd_piped(request: &DdRequest<'_>, pipes: Pipes) -> Result<ConvertSummary> {
    if request.block_size == 0 {
        return Err(Error::invalid("a block has at least one byte"));
    }
    let convert = conversion(request);
    let Some(pipe) = pipes.input else {
        let disk = open(&request.input.path, request.input.format.as_deref(), &request.access)?;
        if output::is_top(&convert) || output::is_held(&convert, &disk)? {
            // A part of the disk would take the place of all of it.
            return Err(output::overwritten(&convert));
        }
        let disk = part_of(request, Box::new(disk))?;
        return convert_image(&convert, disk.as_ref(), None, &[], pipes.output);
    };
    // Bytes as they are can be counted while they arrive; of other formats, nobody knows which bytes are where.
    let plain = request.output_size.is_none() && request.input.format.as_deref() == Some(RAW);
    if plain {
        let (skip, count) = window(request);
        let input: Box<dyn Read + Send> = Box::new(Counted { pipe, skip, count });
        return convert_piped(&convert, Pipes { input: Some(input), output: pipes.output });
    }
    let (disk, reason) = spooled(request, pipe)?;
    let disk = part_of(request, disk)?;
    let summary = convert_image(&convert, disk.as_ref(), None, &[], pipes.output)?;
    Ok(ConvertSummary { spooled: Some(reason), ..summary })
}

/// What a conversion is told.
fn conversion<'a>(request: &DdRequest<'a>) -> ConvertRequest<'a> {
    ConvertRequest {
        sources: vec![request.input.clone()],
        options: request.options.clone(),
        in_place: request.in_place,
        access: request.access.clone(),
        engine: request.engine.clone(),
        ..ConvertRequest::new(&request.input.path, &request.output, &request.output_format)
    }
}

/// Bytes that are left out, and those that are copied then.
fn window(request: &DdRequest<'_>) -> (u64, u64) {
    let bytes = |blocks: u64| blocks.saturating_mul(request.block_size);
    (bytes(request.skip), request.count.map_or(u64::MAX, bytes))
}

/// The part of `disk` that is copied, as large as the new image is to be.
fn part_of(request: &DdRequest<'_>, disk: Box<dyn Image>) -> Result<Box<dyn Image>> {
    let (skip, count) = window(request);
    let start = skip.min(disk.size());
    let count = count.min(request.output_size.unwrap_or(u64::MAX));
    let end = start.saturating_add(count).min(disk.size());
    let part: Box<dyn Image> = Box::new(Part::new(disk, start..end)?);
    let rest = request.output_size.map_or(0, |size| size.saturating_sub(part.size()));
    if rest == 0 {
        return Ok(part);
    }
    Ok(Box::new(Concat::new(vec![part, Box::new(Blank::new(rest))])?))
}

/// Keeps what arrives in a temporary file, and says why.
fn spooled(request: &DdRequest<'_>, mut pipe: Box<dyn Read + Send>) -> Result<(Box<dyn Image>, String)> {
    let reason = "a part of a disk is found by its position".to_owned();
    let limit = request.access.limits.spool_bytes;
    let storage = spool(pipe.as_mut(), request.access.spool, limit)
        .map_err(|e| e.context(format!("the input has to be kept in a temporary file, because {reason}")))?;
    let disk = request.access.opener().open(storage, None, request.input.format.as_deref())?;
    Ok((Box::new(disk), reason))
}

/// A part of what arrives.
struct Counted<R> {
    /// All that arrives.
    pipe: R,
    /// Bytes that are left out first.
    skip: u64,
    /// Bytes that may come then.
    count: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        if self.skip > 0 {
            std::io::copy(&mut self.pipe.by_ref().take(self.skip), &mut std::io::sink())?;
            self.skip = 0;
        }
        let most = usize::try_from(self.count).unwrap_or(usize::MAX).min(buf.len());
        let read = self.pipe.read(&mut buf[..most])?;
        self.count -= read as u64;
        Ok(read)
    }
}

/// Bytes of a block where nothing is said, as in every `dd`.
const DEFAULT_BLOCK_SIZE: u64 = 512;
