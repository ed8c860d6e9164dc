//! A raw format for backing files: a format depends on no other, not even in tests.

use std::io::Read;
use std::ops::Range;
use std::sync::Arc;

use imgfmt_core::{
    CreateRequest, Description, Encoded, Error, ErrorKind, ExtentKind, ExtentSink, Format, Head, Image, ImageStream,
    ImageWriter, OpenContext, Opened, OptionSpec, Result, SourceId, Storage, Streamed, Target,
};

/// The raw format, as far as a backing file needs it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Raw;

impl Format for Raw {
    fn name(&self) -> &'static str {
        "raw"
    }

    fn aliases(&self) -> &'static [&'static str] {
        &[]
    }

    fn probe(&self, _head: &Head<'_>) -> Result<Option<&'static str>> {
        Ok(None)
    }

    fn open_options(&self) -> &'static [OptionSpec] {
        &[]
    }

    fn open(&self, storage: Arc<dyn Storage>, _context: &OpenContext<'_>) -> Result<Opened> {
        Ok(Opened::alone(Box::new(RawImage([storage]))))
    }

    fn stream(
        &self,
        input: Box<dyn Read + Send>,
        _context: &OpenContext<'_>,
    ) -> Result<Streamed<Box<dyn ImageStream>>> {
        Ok(Streamed::NeedsSeek { input, reason: "only read in tests".to_owned() })
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
