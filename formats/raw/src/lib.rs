#![doc = include_str!("../README.md")]

mod check;
mod edit;
mod open;
mod read;
mod split;
mod stream;
mod write;

use std::io::Read;
use std::sync::Arc;

use imgfmt_core::{
    Abilities, CreateRequest, Format, Head, ImageStream, ImageWriter, OpenContext, Opened, OptionSpec, Result, Storage,
    Streamed, Target,
};

/// The raw format: guest byte n is host byte n.
#[derive(Clone, Copy, Debug, Default)]
pub struct Raw;

impl Format for Raw {
    fn name(&self) -> &'static str {
        NAME
    }

    fn aliases(&self) -> &'static [&'static str] {
        FILE_DRIVERS
    }

    /// Raw claims nothing: it is what a file is called that no format claims.
    fn probe(&self, _head: &Head<'_>) -> Result<Option<&'static str>> {
        Ok(None)
    }

    fn open_options(&self) -> &'static [OptionSpec] {
        open::OPTIONS
    }

    fn open(&self, storage: Arc<dyn Storage>, context: &OpenContext<'_>) -> Result<Opened> {
        let image = open::open(storage, context).map_err(|e| e.in_format(NAME))?;
        Ok(Opened::alone(Box::new(image)))
    }

    fn stream(&self, input: Box<dyn Read + Send>, context: &OpenContext<'_>) -> Result<Streamed<Box<dyn ImageStream>>> {
        let stream = stream::RawStream::new(input, context).map_err(|e| e.in_format(NAME))?;
        Ok(Streamed::OnePass(Box::new(stream)))
    }

    fn options(&self) -> Option<&'static [OptionSpec]> {
        Some(OPTIONS)
    }

    fn create(&self, target: Arc<dyn Target>, request: &CreateRequest<'_>) -> Result<Box<dyn ImageWriter>> {
        write::create(target, request).map_err(|e| e.in_format(NAME))
    }

    fn abilities(&self) -> Abilities {
        Abilities { check: Some(&Raw), edit: Some(&Raw), ..Abilities::NONE }
    }
}

/// The format's name.
const NAME: &str = "raw";

/// What images by QEMU call their backing file where it is the bytes of a file or a device as they are: names of its drivers for those,
/// qemu-block-drivers(7).
const FILE_DRIVERS: &[&str] = &["file", "host_device", "host_cdrom"];

/// Options of a new raw image.
const OPTIONS: &[OptionSpec] = &[OptionSpec {
    name: "preallocation",
    values: "off|falloc|full",
    default: "off",
    help: "take the space on the host: not at all, without writing, or by writing zeros",
}];
