//! What the tests share: a raw format for backing files, and the reading of whole disks.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use imgfmt_core::{
    Beneath, Chain, CreateRequest, DenyAll, Description, Encoded, Error, ErrorKind, ExtentKind, ExtentSink, Format,
    Gate, Head, Image, ImageWriter, Limits, OpenContext, Opened, Opener, OptionSpec, Result, SourceId, Storage, Target,
};
use imgfmt_qcow2::Qcow2;
use sha2::{Digest, Sha256};

/// Opens the qcow2 image in `storage` with all that it builds on; `beside` is where it may look for that.
pub(crate) fn open(storage: Arc<dyn Storage>, path: &Path, beside: Option<&Path>) -> Result<Chain> {
    let limits = Limits::default();
    let mut beneath = Beneath::new();
    if let Some(beside) = beside {
        beneath.allow_beside(beside)?;
    }
    let gate: &dyn Gate = if beside.is_some() { &beneath } else { &DenyAll };
    Opener { formats: &[&Qcow2, &Raw], fallback: Some(Raw.name()), gate, limits: &limits }.open(
        storage,
        Some(path),
        Some(Qcow2.name()),
    )
}

/// Reads the whole disk and returns its SHA-256 in hexadecimal.
pub(crate) fn hash(image: &dyn Image) -> Result<String> {
    let mut hasher = Sha256::new();
    let mut buf = vec![0xa5; 1 << 20];
    let mut next = 0;
    while next < image.size() {
        let part = &mut buf[..usize::try_from(image.size() - next).unwrap_or(1 << 20).min(1 << 20)];
        image.read_at(part, next)?;
        hasher.update(&*part);
        next += part.len() as u64;
    }
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The raw format, as far as a backing file needs it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Raw;

impl Format for Raw {
    fn name(&self) -> &'static str {
        "raw"
    }

    fn probe(&self, _head: &Head<'_>) -> Result<Option<&'static str>> {
        Ok(None)
    }

    fn open(&self, storage: Arc<dyn Storage>, _context: &OpenContext<'_>) -> Result<Opened> {
        Ok(Opened { image: Box::new(RawImage([storage])), parent: None })
    }

    fn options(&self) -> Option<&'static [OptionSpec]> {
        None
    }

    fn create(&self, _target: Arc<dyn Target>, _request: &CreateRequest<'_>) -> Result<Box<dyn ImageWriter>> {
        Err(Error::unsupported("tests only read raw"))
    }
}

/// A raw image.
struct RawImage([Arc<dyn Storage>; 1]);

impl Image for RawImage {
    fn size(&self) -> u64 {
        self.0[0].len()
    }

    fn sources(&self) -> &[Arc<dyn Storage>] {
        &self.0
    }

    fn map(&self, range: Range<u64>, sink: &mut ExtentSink<'_>) -> Result<()> {
        sink.push(range.start, self.size() - range.start, ExtentKind::Data { source: SourceId(0), host: range.start });
        Ok(())
    }

    fn stored_body(&self, _unit_start: u64, _unit: &Encoded, _stored: &[u8]) -> Result<Range<usize>> {
        Err(Error::new(ErrorKind::Malformed, "raw has no units"))
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        self.0[0].read_at(buf, offset)
    }

    fn describe(&self) -> Description {
        Description { format: "raw", ..Description::default() }
    }
}
