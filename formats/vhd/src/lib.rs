#![doc = include_str!("../README.md")]

use std::io::Read;
use std::sync::Arc;

use imgfmt_core::{
    CreateRequest, Error, Format, Head, ImageStream, ImageWriter, OpenContext, Opened, OptionSpec, Result, Storage,
    Streamed, Target,
};

/// The vhd format.
#[derive(Clone, Copy, Debug, Default)]
pub struct Vhd;

impl Format for Vhd {
    fn name(&self) -> &'static str {
        NAME
    }

    fn aliases(&self) -> &'static [&'static str] {
        &["vpc"]
    }

    fn probe(&self, _head: &Head<'_>) -> Result<Option<&'static str>> {
        Ok(None)
    }

    fn open_options(&self) -> &'static [OptionSpec] {
        &[]
    }

    fn open(&self, _storage: Arc<dyn Storage>, _context: &OpenContext<'_>) -> Result<Opened> {
        Err(Error::unsupported("cannot be read").in_format(NAME))
    }

    fn stream(
        &self,
        input: Box<dyn Read + Send>,
        _context: &OpenContext<'_>,
    ) -> Result<Streamed<Box<dyn ImageStream>>> {
        Ok(Streamed::NeedsSeek { input, reason: "its tables can be anywhere".to_owned() })
    }

    fn options(&self) -> Option<&'static [OptionSpec]> {
        None
    }

    fn create(&self, _target: Arc<dyn Target>, _request: &CreateRequest<'_>) -> Result<Box<dyn ImageWriter>> {
        Err(Error::unsupported("cannot be written").in_format(NAME))
    }
}

/// The format's name.
const NAME: &str = "vhd";
