//! What a conversion reads: files, or a pipe.

use std::io::{Cursor, Read};
use std::path::Path;
use std::sync::Arc;

use imgfmt_core::convert::Convert;
use imgfmt_core::storage::spool;
use imgfmt_core::{
    Bitmap, Chain, Concat, CreateRequest, Error, FileStorage, FileTarget, Format, Gate, Head, Image, ImageStream,
    MemoryStorage, Opener, Options, Result, Storage, Streamed, probe,
};

use super::ends::Watched;
use super::open::{Access, RAW, open, open_layers};
use super::patient::Patient;
use super::request::{Bitmaps, ConvertRequest};
use crate::FORMATS;

/// What is read.
pub(crate) struct Input {
    /// The disk.
    pub(crate) open: Open,
    /// The bitmaps of the top layer, where they were asked for.
    pub(crate) bitmaps: Vec<Box<dyn Bitmap>>,
    /// Why the input had to be kept in a temporary file, where it had to.
    pub(crate) spooled: Option<String>,
}

/// A disk that can be read.
pub(crate) enum Open {
    /// By position.
    Image(Box<dyn Image>),
    /// In one pass.
    Stream(Box<dyn ImageStream>),
}

impl Open {
    /// The disk, where it can be read by position.
    pub(crate) fn image(&self) -> Option<&dyn Image> {
        match self {
            Self::Image(image) => Some(image.as_ref()),
            Self::Stream(_) => None,
        }
    }
}

impl Input {
    /// Opens what `request` reads; `pipe` takes the place of its source.
    pub(crate) fn open(request: &ConvertRequest<'_>, pipe: Option<Box<dyn Read + Send>>) -> Result<Self> {
        let patient = Patient(request.access.gate);
        let gate: &dyn Gate = if request.salvage { &patient } else { request.access.gate };
        let access = Access { gate, salvage: request.salvage, ..request.access.clone() };
        let request = &ConvertRequest { access, ..request.clone() };
        match (pipe, request.sources.as_slice()) {
            (Some(pipe), [source]) => {
                let format = source.format.as_deref();
                let cannot = |e: Error| e.context(format!("cannot read {}", source.path.display()));
                Self::of_pipe(request, pipe, format).map_err(cannot)
            }
            (_, [source]) if request.bitmaps != Bitmaps::Leave => {
                let mut layers = open_layers(&source.path, source.format.as_deref(), &request.access)?;
                let bitmaps = layers.first_mut().map(|top| std::mem::take(&mut top.bitmaps)).unwrap_or_default();
                let chain = Chain::new(layers.into_iter().map(|layer| layer.image).collect())?;
                Ok(Self { bitmaps, ..Self::of_image(Box::new(chain)) })
            }
            _ => Ok(Self::of_image(open_sources(request)?)),
        }
    }

    /// An image without bitmaps.
    fn of_image(image: Box<dyn Image>) -> Self {
        Self { open: Open::Image(image), bitmaps: Vec::new(), spooled: None }
    }

    /// What arrives through `pipe`: in one pass where it can be, else by way of a temporary file.
    fn of_pipe(request: &ConvertRequest<'_>, pipe: Box<dyn Read + Send>, format: Option<&str>) -> Result<Self> {
        let opener = request.access.opener();
        let (bare, said) = match unwrap(&opener, pipe, format)? {
            Unwrapped::Bare(input) => (input, format),
            Unwrapped::NeedsSeek(input, reason) => return Self::spooled(request, input, format, reason),
        };
        // Whoever names the format need not wait for the first bytes.
        let (head, input) = if said.is_some() { (Vec::new(), bare) } else { peek(bare)? };
        let (chosen, is_fallback) = choose(&opener, &head, said)?;
        // Some formats are known by their end alone, which has not come yet.
        let input = if is_fallback { Box::new(Watched::new(input, FORMATS)) } else { input };
        let context = opener.context;
        context.options.check(chosen.open_options()).map_err(|e| e.in_format(chosen.name()))?;
        match chosen.stream(input, &context).map_err(|e| e.in_format(chosen.name()))? {
            Streamed::OnePass(stream) => Ok(Self { open: Open::Stream(stream), bitmaps: Vec::new(), spooled: None }),
            Streamed::NeedsSeek { input, reason } => Self::spooled(request, input, Some(chosen.name()), reason),
        }
    }

    /// Keeps `input` in a temporary file, and opens that.
    fn spooled(
        request: &ConvertRequest<'_>,
        mut input: Box<dyn Read + Send>,
        format: Option<&str>,
        reason: String,
    ) -> Result<Self> {
        let limit = request.access.limits.spool_bytes;
        let storage = spool(input.as_mut(), request.access.spool, limit)
            .map_err(|e| e.context(format!("the input has to be kept in a temporary file, because {reason}")))?;
        let opener = request.access.opener();
        let mut layers = opener.open_layers(storage, None, format)?;
        let bitmaps = match request.bitmaps {
            Bitmaps::Leave => Vec::new(),
            _ => layers.first_mut().map(|top| std::mem::take(&mut top.bitmaps)).unwrap_or_default(),
        };
        let chain = Chain::new(layers.into_iter().map(|layer| layer.image).collect())?;
        Ok(Self { open: Open::Image(Box::new(chain)), bitmaps, spooled: Some(reason) })
    }
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

/// Keeps the disk of a stream whose size only its end tells in a temporary file.
pub(crate) fn spool_stream(request: &ConvertRequest<'_>, stream: &mut dyn ImageStream) -> Result<Box<dyn Image>> {
    let folder = request.access.spool.unwrap_or(Path::new("/var/tmp"));
    let cannot = |e| Error::io(format!("cannot write to a temporary file in {}", folder.display()), e);
    let file = tempfile::tempfile_in(folder).map_err(cannot)?;
    let target = Arc::new(FileTarget::new(file.try_clone().map_err(cannot)?)?);
    let raw = request.access.opener().by_name(RAW)?;
    let options = Options::new();
    let writer = raw.create(target, &CreateRequest { size_grows: true, ..CreateRequest::new(0, &options) })?;
    Convert { progress: None, ..request.engine.clone() }.run_stream(stream, writer)?;
    let storage: Arc<dyn Storage> = Arc::new(FileStorage::from_file(file)?);
    let opener = Opener {
        context: imgfmt_core::OpenContext::new(&request.access.limits, request.access.gate),
        ..request.access.opener()
    };
    Ok(Box::new(opener.open(storage, None, Some(RAW))?))
}

/// An input without what it was wrapped in.
enum Unwrapped {
    /// It goes on in one pass.
    Bare(Box<dyn Read + Send>),
    /// A wrapper of it cannot be taken off in one pass: the input, and why.
    NeedsSeek(Box<dyn Read + Send>, String),
}

/// Takes off what `input` is wrapped in. Whoever says raw means the bytes as they are.
fn unwrap(opener: &Opener<'_>, mut input: Box<dyn Read + Send>, format: Option<&str>) -> Result<Unwrapped> {
    if let Some(name) = format
        && opener.by_name(name)?.name() == RAW
    {
        return Ok(Unwrapped::Bare(input));
    }
    for depth in 0.. {
        let (head, whole) = peek(input)?;
        input = whole;
        let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new(head));
        if !probe::probe(opener.formats, storage.as_ref())?.is_empty() {
            break;
        }
        let head = Head::read(storage.as_ref())?;
        let mut found = None;
        for &wrapper in opener.wrappers {
            if wrapper.probe(&head)?.is_some() {
                found = Some(wrapper);
            }
        }
        let Some(wrapper) = found else { break };
        if depth == MAX_WRAPPERS {
            return Err(Error::limit(format!("the image is wrapped more than {MAX_WRAPPERS} times")));
        }
        match wrapper.stream(input, &opener.context).map_err(|e| e.in_format(wrapper.name()))? {
            Streamed::OnePass(inner) => input = inner,
            Streamed::NeedsSeek { input, reason } => return Ok(Unwrapped::NeedsSeek(input, reason)),
        }
    }
    Ok(Unwrapped::Bare(input))
}

/// The format that was named, or that claims the first bytes, or the fallback; and whether it is that.
fn choose<'a>(opener: &Opener<'a>, head: &[u8], format: Option<&str>) -> Result<(&'a dyn Format, bool)> {
    if let Some(name) = format {
        return Ok((opener.by_name(name)?, false));
    }
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new(head));
    match (probe::detect(opener.formats, &storage)?, opener.fallback) {
        (Some(format), _) => Ok((format, false)),
        (None, Some(name)) => Ok((opener.by_name(name)?, true)),
        (None, None) => Err(Error::unsupported("no format claims these bytes")),
    }
}

/// The first bytes of `input`, and all of it again.
fn peek(mut input: Box<dyn Read + Send>) -> Result<(Vec<u8>, Box<dyn Read + Send>)> {
    let mut head = Vec::new();
    input.by_ref().take(PEEKED_LEN).read_to_end(&mut head).map_err(Error::from_read)?;
    let whole = Cursor::new(head.clone()).chain(input);
    Ok((head, Box::new(whole)))
}

/// First bytes of a pipe that formats and wrappers are probed on: what an optical disc's volume descriptors take.
const PEEKED_LEN: u64 = 64 << 10;
/// Wrappers that are taken off at most.
const MAX_WRAPPERS: usize = 4;
