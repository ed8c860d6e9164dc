#![doc = include_str!("../README.md")]

mod cache;
mod check;
mod header;
mod info;
mod layout;
mod map;
mod open;
mod table;

use std::io::Read;
use std::sync::Arc;

use imgfmt_core::{
    Abilities, CreateRequest, Error, Format, Head, ImageStream, ImageWriter, OpenContext, Opened, OptionSpec, Result,
    Storage, Streamed, Target,
};

/// The VDI format.
#[derive(Clone, Copy, Debug, Default)]
pub struct Vdi;

impl Format for Vdi {
    fn name(&self) -> &'static str {
        NAME
    }

    fn aliases(&self) -> &'static [&'static str] {
        &[]
    }

    /// The text in front of the signature is anybody's, so the signature alone counts.
    fn probe(&self, head: &Head<'_>) -> Result<Option<&'static str>> {
        let signed = head.first().get(layout::SIGNATURE_AT..).is_some_and(|rest| rest.starts_with(&layout::SIGNATURE));
        Ok(signed.then_some("the signature of a VDI header"))
    }

    fn open_options(&self) -> &'static [OptionSpec] {
        &[]
    }

    fn open(&self, storage: Arc<dyn Storage>, context: &OpenContext<'_>) -> Result<Opened> {
        open::open(storage, context).map_err(|e| e.in_format(NAME))
    }

    fn stream(&self, input: Box<dyn Read + Send>, _: &OpenContext<'_>) -> Result<Streamed<Box<dyn ImageStream>>> {
        Ok(Streamed::NeedsSeek { input, reason: "the blocks of a VDI lie in any order".to_owned() })
    }

    fn options(&self) -> Option<&'static [OptionSpec]> {
        None
    }

    fn create(&self, _target: Arc<dyn Target>, _request: &CreateRequest<'_>) -> Result<Box<dyn ImageWriter>> {
        Err(Error::unsupported("VDI images are read, not written").in_format(NAME))
    }

    fn abilities(&self) -> Abilities {
        Abilities { check: Some(&Vdi), ..Abilities::NONE }
    }
}

/// The format's name.
const NAME: &str = "vdi";
