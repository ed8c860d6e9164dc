//! Writing a new disk in one pass.
//!
//! A fixed disk is its guest bytes and a footer. Any other starts with what `finish` fills in: the copy of the footer, the
//! header, the table, and the names of the parent. Blocks follow in guest order, each where the first of its bytes that
//! has to be stored was met; what of a block is not written reads as zeros, for the file does.

mod blocks;
mod fixed;
mod parent;
mod settings;

use std::sync::Arc;

use imgfmt_core::{CreateRequest, Error, ImageWriter, Result, Target};

use blocks::BlockWriter;
use fixed::FixedWriter;
pub(crate) use parent::ParentFields;
pub(crate) use settings::OPTIONS;
use settings::Settings;

use crate::footer::DiskType;

/// Starts a new disk.
pub(crate) fn create(target: Arc<dyn Target>, request: &CreateRequest<'_>) -> Result<Box<dyn ImageWriter>> {
    refuse(request)?;
    let settings = Settings::new(request)?;
    if settings.disk_type == DiskType::Fixed {
        return Ok(Box::new(FixedWriter::new(target, settings, request)?));
    }
    if request.size_grows {
        return Err(size_needed());
    }
    if target.in_order() {
        let what = "only subformat=fixed can be written front to back: the table in front of the blocks is known last";
        return Err(Error::unsupported(what));
    }
    Ok(Box::new(BlockWriter::new(target, settings, request)?))
}

/// Refuses what no VHD can do.
fn refuse(request: &CreateRequest<'_>) -> Result<()> {
    if request.compress {
        return Err(Error::invalid("a VHD cannot be compressed"));
    }
    if !request.bitmaps.is_empty() {
        return Err(Error::invalid("a VHD cannot carry dirty bitmaps"));
    }
    Ok(())
}

/// The error for a disk whose size comes later.
fn size_needed() -> Error {
    Error::unsupported("the size of the disk has to be known before, unless it is made with subformat=fixed")
}
