//! What lies on a disk that nobody made.

use std::sync::Arc;

use imgfmt_core::{DenyAll, Format, Limits, MemoryStorage, OpenContext};
use imgfmt_raw::Raw;

/// Looks at `bytes` as a disk, and says what was found.
///
/// # Panics
///
/// Where memory cannot be read.
pub fn look_inside(bytes: &[u8]) {
    let limits = Limits::default();
    let opened = Raw.open(Arc::new(MemoryStorage::new(bytes)), &OpenContext::new(&limits, &DenyAll));
    let image = opened.expect("any bytes are raw").image;
    let inside = imgfmt_inside::look(image.as_ref(), &limits).expect("memory can be read");
    let _ = imgfmt_inside::to_json(&inside).to_string();
}
