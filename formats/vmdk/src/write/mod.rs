//! Writing new images.
//!
//! | subformat | files | how |
//! |---|---|---|
//! | `monolithicSparse` | one | [`sparse`]: tables in front, grains behind them in guest order |
//! | `twoGbMaxExtentSparse` | a descriptor and extents | the same, one extent after the other |
//! | `streamOptimized` | one | [`stream`]: front to back, nothing is written twice |
//! | `monolithicFlat`, `twoGbMaxExtentFlat`, `vmfs` | a descriptor and extents | [`flat`]: bytes as they are |
//!
//! What makes a file an image, the header or the descriptor, is written last wherever that is possible.

mod descriptor;
mod facts;
mod flat;
mod header;
mod joined;
mod names;
mod plan;
mod settings;
mod sparse;
mod stored;
mod stream;

use std::sync::Arc;

use imgfmt_core::{CreateRequest, Error, ImageWriter, Result, Target};

pub(crate) use settings::{OPTIONS, ParentLink, parent_link};
use settings::{Settings, Subformat};

/// Starts a new image.
pub(crate) fn create(target: Arc<dyn Target>, request: &CreateRequest<'_>) -> Result<Box<dyn ImageWriter>> {
    if request.size_grows {
        return Err(Error::unsupported("the size of the disk has to be known before the first byte is written"));
    }
    if !request.bitmaps.is_empty() {
        return Err(Error::unsupported("dirty bitmaps have no place in the format"));
    }
    let settings = Settings::new(request)?;
    if target.in_order() && settings.subformat != Subformat::StreamOptimized {
        let what = format!("subformat={} cannot be written front to back", settings.subformat.name());
        return Err(Error::unsupported(format!("{what}; subformat=streamOptimized can")));
    }
    if settings.subformat == Subformat::StreamOptimized && target.kept_len().is_some() {
        let what = "a streamOptimized image ends with its footer, and a device does not end there";
        return Err(Error::unsupported(what));
    }
    match settings.subformat {
        Subformat::StreamOptimized => Ok(Box::new(stream::StreamWriter::new(target, request, settings)?)),
        Subformat::MonolithicSparse | Subformat::SplitSparse => {
            Ok(Box::new(sparse::SparseWriter::new(target, request, settings)?))
        }
        Subformat::MonolithicFlat | Subformat::SplitFlat | Subformat::Vmfs => {
            Ok(Box::new(flat::FlatWriter::new(target, request, &settings)?))
        }
    }
}

/// What a writer says that is told how large the disk has become.
fn size_is_fixed() -> Error {
    Error::unsupported("the size of the disk has to be known before")
}

/// Makes `text` all that is in the file of a descriptor.
fn write_descriptor(target: &dyn Target, text: &str) -> Result<()> {
    target.write_at(text.as_bytes(), 0)?;
    target.set_len(text.len() as u64)
}
