#![doc = include_str!("../README.md")]

mod bat;
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
mod write;

use std::io::Read;
use std::sync::Arc;

use imgfmt_core::{
    Abilities, CreateRequest, Format, Head, ImageStream, ImageWriter, OpenContext, Opened, OptionSpec, Result, Storage,
    Streamed, Target,
};

/// The Parallels format.
#[derive(Clone, Copy, Debug, Default)]
pub struct Parallels;

impl Format for Parallels {
    fn name(&self) -> &'static str {
        NAME
    }

    fn aliases(&self) -> &'static [&'static str] {
        &["hds"]
    }

    fn probe(&self, head: &Head<'_>) -> Result<Option<&'static str>> {
        let first = head.first();
        let is_known = first.starts_with(&layout::OLD_MAGIC) || first.starts_with(&layout::MAGIC);
        Ok(is_known.then_some("the magic of a Parallels header"))
    }

    fn open_options(&self) -> &'static [OptionSpec] {
        &[]
    }

    fn open(&self, storage: Arc<dyn Storage>, context: &OpenContext<'_>) -> Result<Opened> {
        open::open(storage, context).map_err(|e| e.in_format(NAME))
    }

    fn stream(&self, input: Box<dyn Read + Send>, _: &OpenContext<'_>) -> Result<Streamed<Box<dyn ImageStream>>> {
        Ok(Streamed::NeedsSeek { input, reason: "the clusters of a Parallels image lie in any order".to_owned() })
    }

    fn options(&self) -> Option<&'static [OptionSpec]> {
        Some(write::OPTIONS)
    }

    fn create(&self, target: Arc<dyn Target>, request: &CreateRequest<'_>) -> Result<Box<dyn ImageWriter>> {
        write::create(target, request).map_err(|e| e.in_format(NAME))
    }

    fn abilities(&self) -> Abilities {
        Abilities { check: Some(&Parallels), edit: Some(&Parallels), ..Abilities::NONE }
    }
}

/// The format's name.
const NAME: &str = "parallels";
