//! Opening: from a header to a disk.

use std::sync::Arc;

use imgfmt_core::{OpenContext, Opened, Parent, Result, Storage};

use crate::header::{Header, ImageType};
use crate::info::identity;
use crate::map::VdiImage;
use crate::table::BlockMap;

/// Opens the image in `storage`.
pub(crate) fn open(storage: Arc<dyn Storage>, context: &OpenContext<'_>) -> Result<Opened> {
    context.without_snapshots()?;
    let header = Header::read(storage.as_ref(), context.limits)?;
    let blocks = BlockMap::new(storage.as_ref(), &header)?;
    let parent = parent(&header);
    Ok(Opened { parent, ..Opened::alone(Box::new(VdiImage { sources: [storage], header, blocks })) })
}

/// By what the parent is known: its `uuidCreate`, and nothing else.
fn parent(header: &Header) -> Option<Parent> {
    let identity = (!header.linkage.is_nil()).then(|| identity(header.linkage));
    (header.kind == ImageType::Differencing).then(|| Parent { identity, ..Parent::default() })
}
