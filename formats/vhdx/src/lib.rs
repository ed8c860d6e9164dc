#![doc = include_str!("../README.md")]

mod bat;
mod bits;
mod check;
mod edit;
mod fields;
mod geometry;
mod header;
mod headers;
mod image;
mod info;
mod items;
mod layout;
mod locator;
mod log;
mod map;
mod metadata;
mod regions;
mod space;
mod write;

use std::io::Read;
use std::sync::Arc;

use imgfmt_core::{
    Abilities, CreateRequest, Format, Head, ImageStream, ImageWriter, OpenContext, Opened, OptionSpec, Replay,
    Replayed, Result, Storage, Streamed, Target,
};

/// The vhdx format.
#[derive(Clone, Copy, Debug, Default)]
pub struct Vhdx;

impl Format for Vhdx {
    fn name(&self) -> &'static str {
        NAME
    }

    fn aliases(&self) -> &'static [&'static str] {
        &[]
    }

    fn probe(&self, head: &Head<'_>) -> Result<Option<&'static str>> {
        Ok(head.first().starts_with(&layout::FILE_SIGNATURE).then_some("vhdx signature"))
    }

    fn open_options(&self) -> &'static [OptionSpec] {
        &[]
    }

    fn open(&self, storage: Arc<dyn Storage>, context: &OpenContext<'_>) -> Result<Opened> {
        context.without_snapshots()?;
        image::VhdxImage::open(storage, context.limits).map_err(|e| e.in_format(NAME))
    }

    fn stream(
        &self,
        input: Box<dyn Read + Send>,
        _context: &OpenContext<'_>,
    ) -> Result<Streamed<Box<dyn ImageStream>>> {
        Ok(Streamed::NeedsSeek { input, reason: "the blocks of a VHDX image can lie in any order".to_owned() })
    }

    fn options(&self) -> Option<&'static [OptionSpec]> {
        Some(write::OPTIONS)
    }

    fn create(&self, target: Arc<dyn Target>, request: &CreateRequest<'_>) -> Result<Box<dyn ImageWriter>> {
        let writer = write::VhdxWriter::new(target, request).map_err(|e| e.in_format(NAME))?;
        Ok(Box::new(writer))
    }

    fn abilities(&self) -> Abilities {
        Abilities {
            check: Some(&Vhdx),
            edit: Some(&Vhdx),
            reparent: Some(&Vhdx),
            replay: Some(&Vhdx),
            ..Abilities::NONE
        }
    }
}

impl Replay for Vhdx {
    fn replay(
        &self,
        storage: Arc<dyn Storage>,
        target: &dyn Target,
        context: &OpenContext<'_>,
    ) -> Result<Option<Replayed>> {
        log::apply::apply(&storage, target, context.limits).map_err(|e| e.in_format(NAME))
    }
}

/// The format's name.
const NAME: &str = "vhdx";
