#![doc = include_str!("../README.md")]

mod bitmap;
mod check;
mod copies;
mod edit;
mod footer;
mod footers;
mod geometry;
mod header;
mod info;
mod layout;
mod map;
mod open;
mod parent;
mod patch;
mod size;
mod space;
mod stream;
mod table;
mod write;

use std::io::Read;
use std::sync::Arc;

use imgfmt_core::{
    Abilities, CreateRequest, Format, Head, ImageStream, ImageWriter, OpenContext, Opened, OptionSpec, Result, Storage,
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

    /// Fixed disks are known by their footer alone, which is at the end.
    fn probe(&self, head: &Head<'_>) -> Result<Option<&'static str>> {
        if head.first().starts_with(&layout::FOOTER_COOKIE) {
            return Ok(Some("the cookie conectix in front"));
        }
        Ok(copies::ends_with_footer(head.storage())?.then_some("the cookie conectix of a footer at the end"))
    }

    fn open_options(&self) -> &'static [OptionSpec] {
        open::OPTIONS
    }

    fn open(&self, storage: Arc<dyn Storage>, context: &OpenContext<'_>) -> Result<Opened> {
        open::open(storage, context).map_err(|e| e.in_format(NAME))
    }

    fn stream(&self, input: Box<dyn Read + Send>, context: &OpenContext<'_>) -> Result<Streamed<Box<dyn ImageStream>>> {
        stream::start(input, context).map_err(|e| e.in_format(NAME))
    }

    fn options(&self) -> Option<&'static [OptionSpec]> {
        Some(write::OPTIONS)
    }

    fn create(&self, target: Arc<dyn Target>, request: &CreateRequest<'_>) -> Result<Box<dyn ImageWriter>> {
        write::create(target, request).map_err(|e| e.in_format(NAME))
    }

    fn abilities(&self) -> Abilities {
        Abilities { check: Some(&Vhd), edit: Some(&Vhd), reparent: Some(&Vhd), ..Abilities::NONE }
    }
}

/// The format's name.
const NAME: &str = "vhd";
