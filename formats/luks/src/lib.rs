#![doc = include_str!("../README.md")]

mod amend;
mod check;
mod edit;
#[cfg(test)]
mod kit;
mod measure;
mod open;
mod options;
mod read;
mod write;

use std::io::Read;
use std::sync::Arc;

use imgfmt_core::{
    Abilities, CreateRequest, Format, Head, ImageStream, ImageWriter, OpenContext, Opened, OptionSpec, Result, Storage,
    Streamed, Target,
};
use imgfmt_crypt::{MAGIC, random};

/// The format of LUKS containers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Luks;

impl Format for Luks {
    fn name(&self) -> &'static str {
        NAME
    }

    fn aliases(&self) -> &'static [&'static str] {
        &[]
    }

    fn probe(&self, head: &Head<'_>) -> Result<Option<&'static str>> {
        let version = head.first().get(MAGIC.len()..MAGIC.len() + 2);
        let is_known = head.first().starts_with(&MAGIC) && matches!(version, Some([0, 1 | 2]));
        Ok(is_known.then_some("the magic number of LUKS"))
    }

    fn open_options(&self) -> &'static [OptionSpec] {
        options::OPEN
    }

    fn open(&self, storage: Arc<dyn Storage>, context: &OpenContext<'_>) -> Result<Opened> {
        let image = open::open(storage, context).map_err(|e| e.in_format(NAME))?;
        Ok(Opened::alone(Box::new(image)))
    }

    fn stream(&self, input: Box<dyn Read + Send>, _: &OpenContext<'_>) -> Result<Streamed<Box<dyn ImageStream>>> {
        Ok(Streamed::NeedsSeek { input, reason: "a passphrase is tried on all key slots of a LUKS header".to_owned() })
    }

    fn options(&self) -> Option<&'static [OptionSpec]> {
        Some(options::CREATE)
    }

    fn create(&self, target: Arc<dyn Target>, request: &CreateRequest<'_>) -> Result<Box<dyn ImageWriter>> {
        write::create(target, request, random::from_system).map_err(|e| e.in_format(NAME))
    }

    fn abilities(&self) -> Abilities {
        Abilities { amend: Some(&Luks), check: Some(&Luks), edit: Some(&Luks), measure: Some(&Luks), ..Abilities::NONE }
    }
}

/// The format's name.
const NAME: &str = "luks";
