//! Opening: from a header to a disk.

use std::sync::Arc;

use imgfmt_core::{Error, Limits, OpenContext, Opened, ParentName, Result, Storage};

use crate::header::Header;
use crate::layout::{CLUSTER_BITS_AT, CRYPT_METHOD_AT};
use crate::map::QcowImage;

/// Opens the image in `storage`.
pub(crate) fn open(storage: Arc<dyn Storage>, context: &OpenContext<'_>) -> Result<Opened> {
    context.without_snapshots()?;
    let header = Header::read(storage.as_ref(), context.limits)?;
    Limits::check("cluster_bits", header.cluster_len(), context.limits.unit_bytes)
        .map_err(|e| e.at(CLUSTER_BITS_AT as u64))?;
    if header.encrypted && !context.describe_only {
        let what = "is 1: the image is encrypted with AES, which is not read here";
        return Err(Error::unsupported(what).field("crypt_method").at(CRYPT_METHOD_AT as u64));
    }
    // The image does not say of which format the backing file is.
    let parent = header.backing_name(storage.as_ref())?.map(|name| ParentName { name, format: None });
    let image = QcowImage::new(storage, header, parent.clone())?;
    Ok(Opened { parent: parent.map(Into::into), ..Opened::alone(Box::new(image)) })
}
