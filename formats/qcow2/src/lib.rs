#![doc = include_str!("../README.md")]

mod layout;
mod write;

use std::sync::Arc;

use imgfmt_core::{
    CreateRequest, Error, Format, Head, ImageWriter, OpenContext, Opened, OptionSpec, Result, Storage, Target,
};

/// The qcow2 format.
#[derive(Clone, Copy, Debug, Default)]
pub struct Qcow2;

impl Format for Qcow2 {
    fn name(&self) -> &'static str {
        "qcow2"
    }

    fn probe(&self, _head: &Head<'_>) -> Result<Option<&'static str>> {
        Ok(None)
    }

    fn open(&self, _storage: Arc<dyn Storage>, _context: &OpenContext<'_>) -> Result<Opened> {
        Err(Error::unsupported("cannot be read yet"))
    }

    fn options(&self) -> Option<&'static [OptionSpec]> {
        Some(write::OPTIONS)
    }

    fn create(&self, target: Arc<dyn Target>, request: &CreateRequest<'_>) -> Result<Box<dyn ImageWriter>> {
        let writer = write::Qcow2Writer::new(target, request).map_err(|e| e.in_format("qcow2"))?;
        Ok(Box::new(writer))
    }
}
