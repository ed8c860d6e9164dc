#![doc = include_str!("../README.md")]

mod boot;
mod bytes;
mod disc;
mod hybrid;
mod image;
mod info;
mod layout;
mod open;
mod scan;
mod susp;
mod udf;
mod volume;

use std::io::Read;
use std::sync::Arc;

use imgfmt_core::{
    Abilities, CreateRequest, Error, Format, Head, ImageStream, ImageWriter, OpenContext, Opened, OptionSpec, Result,
    Storage, Streamed, Target,
};

/// Images of optical discs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Iso;

impl Format for Iso {
    fn name(&self) -> &'static str {
        NAME
    }

    fn aliases(&self) -> &'static [&'static str] {
        &["udf"]
    }

    fn probe(&self, head: &Head<'_>) -> Result<Option<&'static str>> {
        scan::recognise(head.storage())
    }

    fn open_options(&self) -> &'static [OptionSpec] {
        &[]
    }

    fn open(&self, storage: Arc<dyn Storage>, context: &OpenContext<'_>) -> Result<Opened> {
        let image = open::open(storage, context).map_err(|e| e.in_format(NAME))?;
        Ok(Opened::alone(Box::new(image)))
    }

    fn stream(
        &self,
        input: Box<dyn Read + Send>,
        _context: &OpenContext<'_>,
    ) -> Result<Streamed<Box<dyn ImageStream>>> {
        Ok(Streamed::NeedsSeek { input, reason: "descriptors of a disc point forwards and back".to_owned() })
    }

    fn options(&self) -> Option<&'static [OptionSpec]> {
        None
    }

    fn create(&self, _target: Arc<dyn Target>, _request: &CreateRequest<'_>) -> Result<Box<dyn ImageWriter>> {
        Err(Error::unsupported("images of discs can be read, but not written").in_format(NAME))
    }

    fn abilities(&self) -> Abilities {
        Abilities::NONE
    }
}

/// The format's name.
const NAME: &str = "iso";
