//! Which guest bytes changed since somebody asked to be told: persistent dirty bitmaps.

use std::ops::Range;
use std::sync::Arc;

use crate::Result;
use crate::format::OpenContext;
use crate::medium::Medium;

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

/// A format whose images carry bitmaps that can be changed.
pub trait EditBitmaps: Send + Sync {
    /// Does `changes` to the bitmap called `name`, one after the other; all of them or, where one cannot be done, those before it.
    ///
    /// # Errors
    ///
    /// [`Missing`](crate::ErrorKind::Missing) where there is no such bitmap, [`Invalid`](crate::ErrorKind::Invalid) for what it
    /// cannot be, and as [`Edit::edit`](crate::editor::Edit::edit).
    fn change(
        &self,
        medium: Arc<dyn Medium>,
        name: &str,
        changes: &[BitmapChange<'_>],
        context: &OpenContext<'_>,
    ) -> Result<()>;
}

/// One change to a bitmap.
#[derive(Clone, Copy)]
pub enum BitmapChange<'a> {
    /// It is made, clean and enabled, with one bit for so many guest bytes: a power of two, 64 KiB if it is not said.
    Add {
        /// Guest bytes that one bit stands for.
        granularity: Option<u64>,
    },
    /// It is removed.
    Remove,
    /// No bit of it is set.
    Clear,
    /// Writes are recorded.
    Enable,
    /// Writes are not recorded.
    Disable,
    /// What is dirty in the other bitmap, which may be of another image, is dirty in this one too.
    Merge(&'a dyn Bitmap),
}
