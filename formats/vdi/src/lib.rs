#![doc = include_str!("../README.md")]

mod cache;
mod check;
mod disk;
mod edit;
mod entries;
mod header;
mod info;
mod layout;
mod map;
mod open;
mod patch;
mod table;
mod used;
mod write;

use std::io::Read;
use std::sync::Arc;

use imgfmt_core::{
    Abilities, CreateRequest, Format, Head, ImageStream, ImageWriter, OpenContext, Opened, OptionSpec, Result, Storage,
    Streamed, Target,
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
        Some(write::OPTIONS)
    }

    fn create(&self, target: Arc<dyn Target>, request: &CreateRequest<'_>) -> Result<Box<dyn ImageWriter>> {
        write::create(target, request).map_err(|e| e.in_format(NAME))
    }

    fn abilities(&self) -> Abilities {
        Abilities { check: Some(&Vdi), edit: Some(&Vdi), ..Abilities::NONE }
    }
}

/// The format's name.
const NAME: &str = "vdi";
