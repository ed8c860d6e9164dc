#![doc = include_str!("../README.md")]

mod backing;
mod bitmap_data;
mod bitmaps;
mod check;
mod cluster;
mod crypto;
mod data_file;
mod edit;
mod entry;
mod extended;
mod extensions;
mod features;
mod header;
mod image;
mod info;
mod kept;
mod layout;
mod map;
mod measure;
mod snapshots;
mod tables;
mod whole;
mod write;

use std::io::Read;
use std::sync::Arc;

use imgfmt_core::{
    Abilities, CreateRequest, Format, Head, ImageStream, ImageWriter, OpenContext, Opened, OptionSpec, Result, Storage,
    Streamed, Target,
};

/// The qcow2 format.
#[derive(Clone, Copy, Debug, Default)]
pub struct Qcow2;

impl Format for Qcow2 {
    fn name(&self) -> &'static str {
        NAME
    }

    fn aliases(&self) -> &'static [&'static str] {
        &[]
    }

    /// Claims every file with the magic, whatever its version, but for version 1: that is another format.
    fn probe(&self, head: &Head<'_>) -> Result<Option<&'static str>> {
        let Some(rest) = head.first().strip_prefix(&layout::MAGIC) else { return Ok(None) };
        Ok((!rest.starts_with(&1u32.to_be_bytes())).then_some("qcow2 magic"))
    }

    fn open_options(&self) -> &'static [OptionSpec] {
        crypto::options::OPEN_OPTIONS
    }

    fn open(&self, storage: Arc<dyn Storage>, context: &OpenContext<'_>) -> Result<Opened> {
        image::Qcow2Image::open(storage, context).map_err(|e| e.in_format(NAME))
    }

    fn stream(
        &self,
        input: Box<dyn Read + Send>,
        _context: &OpenContext<'_>,
    ) -> Result<Streamed<Box<dyn ImageStream>>> {
        Ok(Streamed::NeedsSeek { input, reason: "the tables of a qcow2 image can be anywhere".to_owned() })
    }

    fn options(&self) -> Option<&'static [OptionSpec]> {
        Some(write::OPTIONS)
    }

    fn create(&self, target: Arc<dyn Target>, request: &CreateRequest<'_>) -> Result<Box<dyn ImageWriter>> {
        write::create(target, request).map_err(|e| e.in_format(NAME))
    }

    fn abilities(&self) -> Abilities {
        Abilities {
            check: Some(&Qcow2),
            edit: Some(&Qcow2),
            reparent: Some(&Qcow2),
            snapshots: Some(&Qcow2),
            bitmaps: Some(&Qcow2),
            amend: Some(&Qcow2),
            measure: Some(&Qcow2),
            vacant: Some(&Qcow2),
            ..Abilities::NONE
        }
    }
}

/// The format's name.
const NAME: &str = "qcow2";
