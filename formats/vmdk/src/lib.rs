#![doc = include_str!("../README.md")]

mod assemble;
mod check;
mod cowd;
mod descriptor;
mod directory;
mod edit;
mod footer;
mod grain;
mod header;
mod info;
mod layout;
mod map;
mod open;
mod parent;
mod sesparse;
mod sparse;
mod stream;
mod tables;
mod write;

use std::io::Read;
use std::sync::Arc;

use imgfmt_core::{
    Abilities, CreateRequest, Format, Head, ImageStream, ImageWriter, OpenContext, Opened, OptionSpec, Result, Storage,
    StorageExt, Streamed, Target,
};

/// The vmdk format.
#[derive(Clone, Copy, Debug, Default)]
pub struct Vmdk;

impl Format for Vmdk {
    fn name(&self) -> &'static str {
        NAME
    }

    fn aliases(&self) -> &'static [&'static str] {
        &[]
    }

    fn probe(&self, head: &Head<'_>) -> Result<Option<&'static str>> {
        let first = head.first();
        let magic = header::recognise(first);
        if magic.is_some() {
            return Ok(magic);
        }
        let reason = descriptor::recognise(first);
        if reason.is_some() || first.contains(&0) || first.len() as u64 == head.storage().len() {
            return Ok(reason);
        }
        let mut more = vec![0; open::PROBED_LEN];
        head.storage().read_padded(&mut more, 0)?;
        Ok(descriptor::recognise(&more))
    }

    fn open_options(&self) -> &'static [OptionSpec] {
        &[]
    }

    fn open(&self, storage: Arc<dyn Storage>, context: &OpenContext<'_>) -> Result<Opened> {
        open::open(storage, context).map_err(|e| e.in_format(NAME))
    }

    fn stream(&self, input: Box<dyn Read + Send>, context: &OpenContext<'_>) -> Result<Streamed<Box<dyn ImageStream>>> {
        stream::open(input, context).map_err(|e| e.in_format(NAME))
    }

    fn options(&self) -> Option<&'static [OptionSpec]> {
        Some(write::OPTIONS)
    }

    fn create(&self, target: Arc<dyn Target>, request: &CreateRequest<'_>) -> Result<Box<dyn ImageWriter>> {
        write::create(target, request).map_err(|e| e.in_format(NAME))
    }

    fn abilities(&self) -> Abilities {
        Abilities {
            check: Some(&check::Checker),
            edit: Some(&edit::Opener),
            reparent: Some(&edit::Reparenter),
            ..Abilities::NONE
        }
    }
}

/// The format's name.
const NAME: &str = "vmdk";
