//! Bytes as they are, as a format: what backing files of test images are.

use std::io::Read;
use std::ops::Range;
use std::sync::Arc;

use crate::abilities::Abilities;
use crate::extent::{Encoded, ExtentKind, ExtentSink, SourceId};
use crate::format::{CreateRequest, Format, OpenContext, Opened};
use crate::image::Image;
use crate::info::Description;
use crate::options::OptionSpec;
use crate::probe::Head;
use crate::storage::Storage;
use crate::stream::{ImageStream, Streamed};
use crate::target::Target;
use crate::writer::ImageWriter;
use crate::{Error, Result};

/// Bytes as they are, under the name that images have for them: a format depends on no other, not even in tests.
#[derive(Clone, Copy, Debug)]
pub struct Plain;

/// The name of the format.
const NAME: &str = "raw";

impl Format for Plain {
    fn name(&self) -> &'static str {
        NAME
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
        Ok(Opened::alone(Box::new(PlainImage::new(storage))))
    }

    fn stream(&self, input: Box<dyn Read + Send>, _: &OpenContext<'_>) -> Result<Streamed<Box<dyn ImageStream>>> {
        Ok(Streamed::NeedsSeek { input, reason: "only read in tests".to_owned() })
    }

    fn options(&self) -> Option<&'static [OptionSpec]> {
        None
    }

    fn create(&self, _target: Arc<dyn Target>, _request: &CreateRequest<'_>) -> Result<Box<dyn ImageWriter>> {
        Err(Error::unsupported("only read in tests"))
    }

    fn abilities(&self) -> Abilities {
        Abilities::NONE
    }
}

/// Bytes as they are, as a disk.
#[derive(Debug)]
pub struct PlainImage([Arc<dyn Storage>; 1]);

impl PlainImage {
    /// The disk whose bytes are those of `storage`.
    #[must_use]
    pub fn new(storage: Arc<dyn Storage>) -> Self {
        Self([storage])
    }
}

impl Image for PlainImage {
    fn size(&self) -> u64 {
        self.0[0].len()
    }

    fn sources(&self) -> &[Arc<dyn Storage>] {
        &self.0
    }

    fn map(&self, range: Range<u64>, sink: &mut ExtentSink<'_>) -> Result<()> {
        sink.push(range.start, range.end - range.start, ExtentKind::Data { source: SourceId(0), host: range.start });
        Ok(())
    }

    fn stored_body(&self, _unit_start: u64, _unit: &Encoded, _stored: &[u8]) -> Result<Range<usize>> {
        Err(Error::malformed("nothing is compressed here"))
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        self.0[0].read_at(buf, offset)
    }

    fn describe(&self) -> Description {
        Description { format: NAME, ..Description::default() }
    }
}
