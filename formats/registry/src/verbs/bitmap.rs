//! Dirty bitmaps of an image.

use imgfmt_core::{Bitmap, BitmapChange, BitmapInfo, Error, ErrorKind, Result};

use super::edited::Edited;
use super::files::HostFile;
use super::open::{Access, open_layer};
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
/// Returns the bitmaps that the image has now.
///
/// # Errors
///
/// [`Unsupported`](imgfmt_core::ErrorKind::Unsupported) where the format has no bitmaps,
/// [`Missing`](imgfmt_core::ErrorKind::Missing) where there is no such bitmap, and as
/// [`EditBitmaps::change`](imgfmt_core::EditBitmaps::change).
pub fn change_bitmap(
    source: &Source,
    name: &str,
    actions: &[BitmapAction],
    access: &Access<'_>,
) -> Result<Vec<BitmapInfo>> {
    let change = || {
        let image = Edited::open(source, access)?;
        let bitmaps = image.kind.need(image.kind.abilities.bitmaps, "have no bitmaps")?;
        // What is merged is looked at when its turn comes: it may be what an action before has changed.
        for step in actions.chunk_by(|a, b| !(a.merges() || b.merges())) {
            let merged = match step {
                [BitmapAction::Merge { source: from, name }] => Some(merged(&image, source, from, name, access)?),
                _ => None,
            };
            let changes: Vec<_> = match &merged {
                Some(bitmap) => vec![BitmapChange::Merge(bitmap.as_ref())],
                None => step.iter().filter_map(BitmapAction::change).collect(),
            };
            let done = bitmaps.change(image.medium(), name, &changes, &image.context());
            done.map_err(|e| e.in_format(image.kind.name))?;
        }
        Ok(image.layer()?.bitmaps.iter().map(|bitmap| bitmap.info().clone()).collect())
    };
    change().map_err(|e: Error| e.context(format!("cannot change the bitmap {name} of {}", source.path.display())))
}

impl BitmapAction {
    /// Whether another bitmap is needed.
    fn merges(&self) -> bool {
        matches!(self, Self::Merge { .. })
    }

    /// The change, where no other bitmap is needed.
    fn change(&self) -> Option<BitmapChange<'static>> {
        match self {
            Self::Add { granularity } => Some(BitmapChange::Add { granularity: *granularity }),
            Self::Remove => Some(BitmapChange::Remove),
            Self::Clear => Some(BitmapChange::Clear),
            Self::Enable => Some(BitmapChange::Enable),
            Self::Disable => Some(BitmapChange::Disable),
            Self::Merge { .. } => None,
        }
    }
}

/// The bitmap called `name` of the image at `from`, which may be `image` itself.
fn merged(image: &Edited<'_>, own: &Source, from: &Source, name: &str, access: &Access<'_>) -> Result<Box<dyn Bitmap>> {
    let itself = HostFile::at(&from.path).is_some_and(|file| HostFile::at(&own.path) == Some(file));
    let opened =
        if itself { image.layer()? } else { open_layer(&from.path, from.format.as_deref(), &access.below())?.0 };
    let found = opened.bitmaps.into_iter().find(|bitmap| bitmap.info().name == name);
    let missing = || Error::new(ErrorKind::Missing, format!("{} has no bitmap {name}", from.path.display()));
    let bitmap = found.ok_or_else(missing)?;
    if bitmap.info().inconsistent {
        let what = format!("the bitmap {name} of {} was in use when the image was last closed", from.path.display());
        return Err(Error::invalid(format!("{what}, and cannot be relied on")));
    }
    Ok(bitmap)
}
