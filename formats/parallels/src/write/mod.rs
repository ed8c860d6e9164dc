//! Writing a new image in one pass.
//!
//! The BAT has its place by the size of the disk. Clusters follow in guest order, each where the first of its bytes that has
//! to be stored was met; what of a cluster is not written reads as zeros, for the file does.

mod clusters;
mod settings;

use std::sync::Arc;

use imgfmt_core::{CreateRequest, Error, ImageWriter, Result, Target};

use clusters::ClusterWriter;
pub(crate) use settings::OPTIONS;

/// Starts a new image.
pub(crate) fn create(target: Arc<dyn Target>, request: &CreateRequest<'_>) -> Result<Box<dyn ImageWriter>> {
    refuse(request)?;
    let header = settings::header(request)?;
    if target.in_order() {
        let what = "a Parallels image cannot be written front to back: the BAT in front of the clusters is known last";
        return Err(Error::unsupported(what));
    }
    Ok(Box::new(ClusterWriter::new(target, header, request)?))
}

/// Refuses what no Parallels image can do.
fn refuse(request: &CreateRequest<'_>) -> Result<()> {
    if request.compress {
        return Err(Error::invalid("a Parallels image cannot be compressed"));
    }
    if !request.bitmaps.is_empty() {
        return Err(Error::invalid("dirty bitmaps of Parallels images are not written"));
    }
    if request.backing.is_some() {
        return Err(Error::invalid("a Parallels image has no backing file"));
    }
    if request.size_grows { Err(size_needed()) } else { Ok(()) }
}

/// The error for a disk whose size comes later.
fn size_needed() -> Error {
    Error::unsupported("the size of the disk has to be known before: the BAT lies in front of the clusters")
}
