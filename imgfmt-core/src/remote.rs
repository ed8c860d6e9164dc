//! Images that are no files of this host: what callers call by an address.
//!
//! Only callers have addresses. A name in an image is the name of a file, whatever it looks like, and goes to the
//! [`Gate`](crate::Gate).

use std::fmt::Debug;
use std::path::Path;
use std::sync::Arc;

use crate::Result;
use crate::medium::Medium;
use crate::storage::Storage;

/// Tells addresses from names of files.
pub trait Addresses: Send + Sync {
    /// What the caller's `name` leads to; nothing where it is the name of a file.
    ///
    /// # Errors
    ///
    /// [`Invalid`](crate::ErrorKind::Invalid) for an address that makes no sense,
    /// [`Unsupported`](crate::ErrorKind::Unsupported) for one of a kind that is not supported.
    fn find(&self, name: &Path) -> Result<Option<Arc<dyn Remote>>>;
}

/// Bytes that are somewhere else.
pub trait Remote: Send + Sync + Debug {
    /// How they are reached, in one word.
    fn protocol(&self) -> &'static str;

    /// Opens them to be read.
    ///
    /// # Errors
    ///
    /// [`Missing`](crate::ErrorKind::Missing) where there are none, [`Refused`](crate::ErrorKind::Refused),
    /// [`Io`](crate::ErrorKind::Io) where nobody answers.
    fn open(&self) -> Result<Arc<dyn Storage>>;

    /// Opens them to be read and written.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open); [`Locked`](crate::ErrorKind::Locked) where somebody else writes them.
    fn open_to_write(&self) -> Result<Arc<dyn Medium>>;

    /// Makes them anew, `len` bytes long at first; where that cannot be done from here, what is there is overwritten.
    ///
    /// # Errors
    ///
    /// As [`open_to_write`](Self::open_to_write); [`Invalid`](crate::ErrorKind::Invalid) where they are there already, and
    /// are not overwritten; [`OutOfBounds`](crate::ErrorKind::OutOfBounds) where they are too few, and cannot become more.
    fn create(&self, len: u64) -> Result<NewRemote>;

    /// Takes back what [`create`](Self::create) made, for an image that did not become whole.
    fn discard(&self);
}

/// What [`Remote::create`] made.
#[derive(Debug)]
pub struct NewRemote {
    /// The bytes.
    pub medium: Arc<dyn Medium>,
    /// Whether they were not there before. Then they are zero, and go away again where the image does not become whole.
    pub is_new: bool,
}

/// Takes every name for that of a file.
#[derive(Clone, Copy, Debug, Default)]
pub struct FilesOnly;

impl Addresses for FilesOnly {
    fn find(&self, _name: &Path) -> Result<Option<Arc<dyn Remote>>> {
        Ok(None)
    }
}
