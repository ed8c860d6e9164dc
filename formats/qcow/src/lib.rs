#![doc = include_str!("../README.md")]

mod cache;
mod check;
mod entry;
mod header;
mod info;
mod layout;
mod map;
mod open;
mod tables;

use std::io::Read;
use std::sync::Arc;

use imgfmt_core::{
    Abilities, CreateRequest, Error, Format, Head, ImageStream, ImageWriter, OpenContext, Opened, OptionSpec, Result,
    Storage, Streamed, Target,
};

/// The qcow format, version 1.
#[derive(Clone, Copy, Debug, Default)]
pub struct Qcow;

impl Format for Qcow {
    fn name(&self) -> &'static str {
        NAME
    }

    fn aliases(&self) -> &'static [&'static str] {
        &[]
    }

    /// The magic is that of the successors, too: the version tells them apart.
    fn probe(&self, head: &Head<'_>) -> Result<Option<&'static str>> {
        let first = head.first().strip_prefix(&layout::MAGIC);
        let qcow = first.is_some_and(|rest| rest.starts_with(&layout::VERSION.to_be_bytes()));
        Ok(qcow.then_some("qcow magic, version 1"))
    }

    fn open_options(&self) -> &'static [OptionSpec] {
        &[]
    }

    fn open(&self, storage: Arc<dyn Storage>, context: &OpenContext<'_>) -> Result<Opened> {
        open::open(storage, context).map_err(|e| e.in_format(NAME))
    }

    fn stream(&self, input: Box<dyn Read + Send>, _: &OpenContext<'_>) -> Result<Streamed<Box<dyn ImageStream>>> {
        Ok(Streamed::NeedsSeek { input, reason: "the tables of a qcow image can be anywhere".to_owned() })
    }

    fn options(&self) -> Option<&'static [OptionSpec]> {
        None
    }

    fn create(&self, _target: Arc<dyn Target>, _request: &CreateRequest<'_>) -> Result<Box<dyn ImageWriter>> {
        Err(Error::unsupported("qcow images are read, not written").in_format(NAME))
    }

    fn abilities(&self) -> Abilities {
        Abilities { check: Some(&Qcow), ..Abilities::NONE }
    }
}

/// The format's name.
const NAME: &str = "qcow";
