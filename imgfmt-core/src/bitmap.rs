//! Which guest bytes changed since somebody asked to be told: persistent dirty bitmaps.

use std::ops::Range;

use crate::Result;

/// What is to be said about a bitmap without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BitmapInfo {
    /// Its name, unique in the image.
    pub name: String,
    /// Guest bytes that one bit stands for: a power of two.
    pub granularity: u64,
    /// Whether writes are being recorded.
    pub enabled: bool,
    /// Whether it was in use when the image was last closed, so that its bits cannot be relied on.
    pub inconsistent: bool,
}

/// A bitmap that an image carries.
pub trait Bitmap: Send + Sync {
    /// What is to be said about it.
    fn info(&self) -> &BitmapInfo;

    /// Hands every run of dirty guest bytes to `visit`, ascending, at whole granules but for the end of the disk.
    ///
    /// # Errors
    ///
    /// [`Malformed`](crate::ErrorKind::Malformed) or [`OutOfBounds`](crate::ErrorKind::OutOfBounds) where its
    /// tables are damaged, and whatever `visit` says.
    fn visit_dirty(&self, visit: &mut dyn FnMut(Range<u64>) -> Result<()>) -> Result<()>;
}
