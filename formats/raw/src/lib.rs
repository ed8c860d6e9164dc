#![doc = include_str!("../README.md")]

mod read;
mod write;

use std::io::Read;
use std::sync::Arc;

use imgfmt_core::{
    CreateRequest, Error, Format, Head, ImageStream, ImageWriter, OpenContext, Opened, OptionSpec, Result, Storage,
    Streamed, Target,
};

/// The raw format: guest byte n is host byte n.
#[derive(Clone, Copy, Debug, Default)]
pub struct Raw;

impl Format for Raw {
    fn name(&self) -> &'static str {
        NAME
    }

    fn aliases(&self) -> &'static [&'static str] {
        &[]
    }

    /// Raw claims nothing: it is what a file is called that no format claims.
    fn probe(&self, _head: &Head<'_>) -> Result<Option<&'static str>> {
        Ok(None)
    }

    fn open_options(&self) -> &'static [OptionSpec] {
        &[]
    }

    fn open(&self, storage: Arc<dyn Storage>, _context: &OpenContext<'_>) -> Result<Opened> {
        Ok(Opened::alone(Box::new(read::RawImage::new(storage))))
    }

    fn stream(
        &self,
        input: Box<dyn Read + Send>,
        _context: &OpenContext<'_>,
    ) -> Result<Streamed<Box<dyn ImageStream>>> {
        Ok(Streamed::NeedsSeek { input, reason: "raw images are read from a file so far".to_owned() })
    }

    fn options(&self) -> Option<&'static [OptionSpec]> {
        Some(OPTIONS)
    }

    fn create(&self, target: Arc<dyn Target>, request: &CreateRequest<'_>) -> Result<Box<dyn ImageWriter>> {
        if request.compress {
            return Err(Error::invalid("raw images cannot be compressed").in_format(NAME));
        }
        if request.backing.is_some() {
            return Err(Error::invalid("raw images cannot have a backing file").in_format(NAME));
        }
        request.options.check(OPTIONS).map_err(|e| e.in_format(NAME))?;
        let writer = write::RawWriter::new(target, request).map_err(|e| e.in_format(NAME))?;
        Ok(Box::new(writer))
    }
}

/// The format's name.
const NAME: &str = "raw";

/// Options of a new raw image.
const OPTIONS: &[OptionSpec] = &[OptionSpec {
    name: "preallocation",
    values: "off|falloc|full",
    default: "off",
    help: "take the space on the host: not at all, without writing, or by writing zeros",
}];
