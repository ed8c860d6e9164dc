//! Opening: from a header to a disk.

use std::sync::Arc;

use imgfmt_core::{OpenContext, Opened, Result, Storage};

use crate::bat::Bat;
use crate::header::Header;
use crate::map::ParallelsImage;

/// Opens the image in `storage`.
pub(crate) fn open(storage: Arc<dyn Storage>, context: &OpenContext<'_>) -> Result<Opened> {
    context.without_snapshots()?;
    let header = Header::read(storage.as_ref(), context.limits)?;
    let bat = Bat::read(storage.as_ref(), &header, context.limits)?;
    bat.check_distinct(storage.as_ref(), &header)?;
    Ok(Opened::alone(Box::new(ParallelsImage { sources: [storage], header, bat })))
}
