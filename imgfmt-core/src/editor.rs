//! Changing an image where it is.

use std::ops::Range;
use std::sync::Arc;

use crate::codec::Compression;
use crate::format::OpenContext;
use crate::image::Image;
use crate::medium::Medium;
use crate::{Error, Result};

/// A format whose images can be changed in place.
pub trait Edit: Send + Sync {
    /// Opens one layer to be changed. Other files that it consists of are asked for with
    /// [`Gate::open_to_write`](crate::Gate::open_to_write); no parent is opened.
    ///
    /// Nobody else may write to the files meanwhile.
    ///
    /// # Errors
    ///
    /// As [`Format::open`](crate::Format::open); [`Unsupported`](crate::ErrorKind::Unsupported) for subformats that can
    /// only be read, [`Malformed`](crate::ErrorKind::Malformed) for an image that is marked as damaged, or that has to be
    /// repaired first.
    fn edit<'a>(&self, medium: Arc<dyn Medium>, context: &OpenContext<'a>) -> Result<Box<dyn ImageEditor + 'a>>;
}

/// One layer of guest bytes that can be changed.
///
/// Calls may come from any thread; they take effect one after the other. A call that fails leaves the bytes of its
/// range old or new, sector by sector, and everything else as it was.
///
/// Cut at any write, as long as the writes before a [`sync`](crate::Target::sync) that succeeded are kept, the image opens, and each
/// sector has its old or its new content; what [`Check`](crate::check::Check) finds then, it can mend. What was there
/// before [`flush`](Self::flush) is there for good.
pub trait ImageEditor: Send + Sync {
    /// A reader of the layer as it is now. What is changed after this call may show in it or not.
    ///
    /// # Errors
    ///
    /// As [`Format::open`](crate::Format::open).
    fn image(&self) -> Result<Box<dyn Image>>;

    /// Writes guest bytes from `offset` on. Where a unit is written in part for the first time, its other bytes have to be
    /// here already or zero: callers with a parent fill whole units, of the length that the image's
    /// [`cluster_size`](crate::Description::cluster_size) tells.
    ///
    /// # Errors
    ///
    /// [`OutOfBounds`](crate::ErrorKind::OutOfBounds) beyond the disk, [`Missing`](crate::ErrorKind::Missing) where the other
    /// bytes of a unit are the parent's, [`Io`](crate::ErrorKind::Io) where the medium fails.
    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()>;

    /// How units are compressed for [`write_encoded`](Self::write_encoded), where the image can have compressed ones. Whoever
    /// writes encodes, in as many threads as there are: an editor only finds a place.
    fn compression(&self) -> Option<Compression> {
        None
    }

    /// Stores the unit at guest byte `offset` as the stream `stored`, which is made with [`compression`](Self::compression). The unit
    /// is whole: one that the disk ends in is filled with zeros.
    ///
    /// # Errors
    ///
    /// As [`write_at`](Self::write_at); [`Unsupported`](crate::ErrorKind::Unsupported) where the image has no compressed units,
    /// [`Invalid`](crate::ErrorKind::Invalid) where `offset` is the start of none, or the stream is too long.
    fn write_encoded(&self, stored: &[u8], offset: u64) -> Result<()> {
        let _ = (stored, offset);
        Err(Error::unsupported(NO_COMPRESSION))
    }

    /// Makes the guest bytes of `range` read as `how` says. Where units are changed in part, as [`write_at`](Self::write_at).
    ///
    /// # Errors
    ///
    /// As [`write_at`](Self::write_at); [`Invalid`](crate::ErrorKind::Invalid) for [`Erase::Absent`] of parts of units.
    fn erase(&self, range: Range<u64>, how: Erase) -> Result<()>;

    /// Tells that the parent's disk has `size` bytes: what the layer leaves to it behind them is zero. Where that is not told, a parent
    /// may have bytes anywhere.
    fn set_parent_size(&self, size: u64) {
        let _ = size;
    }

    /// Makes the disk `size` guest bytes large. Bytes that come to it are zero, whatever a parent has there.
    ///
    /// # Errors
    ///
    /// [`Missing`](crate::ErrorKind::Missing) where the last unit is in part the parent's, and has to be here before the disk goes on;
    /// [`Unsupported`](crate::ErrorKind::Unsupported) where the format cannot, [`Invalid`](crate::ErrorKind::Invalid) for sizes
    /// that it does not have.
    fn resize(&self, size: u64, preallocation: Preallocation) -> Result<()>;

    /// Puts everything that was changed onto the medium.
    ///
    /// # Errors
    ///
    /// [`Io`](crate::ErrorKind::Io).
    fn flush(&self) -> Result<()>;

    /// Flushes, and leaves the image as one that was closed in an orderly way. Dropping the editor without this leaves
    /// it as a crash would.
    ///
    /// # Errors
    ///
    /// [`Io`](crate::ErrorKind::Io).
    fn close(self: Box<Self>) -> Result<()>;
}

/// What is said of images that cannot have compressed units.
pub(crate) const NO_COMPRESSION: &str = "the image cannot be given compressed bytes where it is";

/// What becomes of bytes that are erased.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Erase {
    /// They read as zeros, and their space is given back where the format can do that.
    Zero,
    /// They read as zeros, and space that they take stays theirs.
    ZeroKeepSpace,
    /// The layer stores nothing there: the parent's bytes show, or zeros where there is none. Whole units only, but for
    /// the end of the disk.
    Absent,
}

/// What is done about space that comes to a disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Preallocation {
    /// Nothing.
    #[default]
    Off,
    /// Its place is in the tables, so that writing data needs no more than that.
    Metadata,
    /// The file system has taken space for it, too.
    Falloc,
    /// Zeros have been written there.
    Full,
}

impl Preallocation {
    /// The words for it, as on a command line.
    pub const WORDS: &'static [(&'static str, Self)] =
        &[("off", Self::Off), ("metadata", Self::Metadata), ("falloc", Self::Falloc), ("full", Self::Full)];
}
