//! Writing a new image in one pass.
//!
//! The block map and the data lie where the size of the disk puts them. Blocks follow in guest order, each where the first
//! of its bytes that has to be stored was met; what of a block is not written reads as zeros, for the file does. A fixed image
//! has every block at its own place.

mod blocks;
mod fixed;
mod settings;

use std::sync::Arc;

use imgfmt_core::{CreateRequest, Error, ImageWriter, Result, Target};

use blocks::BlockWriter;
use fixed::FixedWriter;
pub(crate) use settings::OPTIONS;

use crate::header::ImageType;

/// Starts a new image.
pub(crate) fn create(target: Arc<dyn Target>, request: &CreateRequest<'_>) -> Result<Box<dyn ImageWriter>> {
    refuse(request)?;
    let header = settings::header(request)?;
    if header.kind == ImageType::Fixed {
        return Ok(Box::new(FixedWriter::new(target, header, request)?));
    }
    if target.in_order() {
        let what = "only static=on can be written front to back: the block map in front of the blocks is known last";
        return Err(Error::unsupported(what));
    }
    Ok(Box::new(BlockWriter::new(target, header, request)?))
}

/// Refuses what no VDI can do.
fn refuse(request: &CreateRequest<'_>) -> Result<()> {
    if request.compress {
        return Err(Error::invalid("a VDI cannot be compressed"));
    }
    if !request.bitmaps.is_empty() {
        return Err(Error::invalid("a VDI cannot carry dirty bitmaps"));
    }
    if request.backing.is_some() {
        return Err(Error::invalid(
            "a VDI that is written has no backing file: differencing images are read, not made",
        ));
    }
    if request.size_grows { Err(size_needed()) } else { Ok(()) }
}

/// The error for a disk whose size comes later.
fn size_needed() -> Error {
    Error::unsupported("the size of the disk has to be known before: the block map lies in front of the blocks")
}
