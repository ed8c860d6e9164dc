//! Dirty bitmaps of an image.

use imgfmt_core::{Error, Result};

use super::open::Access;
use super::request::Source;

/// One change to a bitmap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BitmapAction {
    /// It is made, clean and enabled.
    Add {
        /// Guest bytes that one bit stands for: a power of two; `None` is the format's own.
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
    /// What is dirty in another bitmap is dirty in this one, too.
    Merge {
        /// The image that has the other bitmap; it may be the image itself.
        source: Source,
        /// What the other bitmap is called.
        name: String,
    },
}

/// Does `actions` to the bitmap called `name`, one after the other; all of them or, where one cannot be done, those before it.
///
/// # Errors
///
/// [`Unsupported`](imgfmt_core::ErrorKind::Unsupported) where the format has no bitmaps,
/// [`Missing`](imgfmt_core::ErrorKind::Missing) where there is no such bitmap, and as
/// [`EditBitmaps::change`](imgfmt_core::EditBitmaps::change).
pub fn change_bitmap(source: &Source, name: &str, _actions: &[BitmapAction], _access: &Access<'_>) -> Result<()> {
    Err(Error::unsupported(format!("the bitmap {name} of {} cannot be changed yet", source.path.display())))
}
