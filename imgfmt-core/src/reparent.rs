//! Naming another parent for an image.

use std::sync::Arc;

use crate::Result;
use crate::format::{Backing, OpenContext};
use crate::medium::Medium;

/// A format whose images name a parent that can be changed.
pub trait Reparent: Send + Sync {
    /// Makes the image build on `parent`, or on nothing. Only what the image says of its parent is changed, in one step that
    /// is done or not done whenever it is cut; no guest data is touched, so bytes that were the old parent's are then the new
    /// one's, or zero.
    ///
    /// # Errors
    ///
    /// As [`Format::open`](crate::Format::open); [`Invalid`](crate::ErrorKind::Invalid) for a parent that the format cannot
    /// name, [`Unsupported`](crate::ErrorKind::Unsupported) where this image cannot have one, or not none.
    fn set_parent(&self, medium: Arc<dyn Medium>, parent: Option<&Backing>, context: &OpenContext<'_>) -> Result<()>;
}
