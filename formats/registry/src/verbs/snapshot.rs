//! Internal snapshots of an image.

use imgfmt_core::{Error, Result, SnapshotInfo};

use super::open::Access;
use super::request::Source;

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SnapshotAction {
    /// The current state is kept under this name.
    Create(String),
    /// The state with this id or name becomes the current one.
    Apply(String),
    /// The state with this id or name is deleted.
    Delete(String),
}

/// The internal snapshots of an image, in the order of its table.
///
/// # Errors
///
/// [`Unsupported`](imgfmt_core::ErrorKind::Unsupported) where the format has none, and what opening says.
pub fn snapshots(source: &Source, _access: &Access<'_>) -> Result<Vec<SnapshotInfo>> {
    Err(Error::unsupported(format!("the snapshots of {} cannot be listed yet", source.path.display())))
}

/// Makes, applies or deletes an internal snapshot.
///
/// # Errors
///
/// [`Unsupported`](imgfmt_core::ErrorKind::Unsupported) where the format has none, and as
/// [`Snapshots`](imgfmt_core::Snapshots).
pub fn snapshot(source: &Source, _action: &SnapshotAction, _access: &Access<'_>) -> Result<()> {
    Err(Error::unsupported(format!("the snapshots of {} cannot be changed yet", source.path.display())))
}
