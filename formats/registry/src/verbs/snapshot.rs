//! Internal snapshots of an image.

use std::sync::Arc;
use std::time::SystemTime;

use imgfmt_core::{Error, Result, SnapshotInfo};

use super::edited::{Edited, Looked};
use super::open::Access;
use super::request::Source;

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SnapshotAction {
    /// The current state is kept under this name, which no other has.
    Create(String),
    /// The current state is kept under this name, whether or not others have it.
    CreateAnother(String),
    /// The state with this id or name becomes the current one; of several of that name, the first.
    Apply(String),
    /// The state with this id or name is deleted; of several of that name, the first.
    Delete(String),
}

/// The internal snapshots of an image, in the order of its table.
///
/// # Errors
///
/// [`Unsupported`](imgfmt_core::ErrorKind::Unsupported) where the format has none, and what opening says.
pub fn snapshots(source: &Source, access: &Access<'_>) -> Result<Vec<SnapshotInfo>> {
    let list = || {
        let image = Looked::open(source, access)?;
        let snapshots = image.kind.need(image.kind.abilities.snapshots, NONE)?;
        let list = snapshots.list(Arc::clone(&image.storage), &image.context());
        list.map_err(|e| e.in_format(image.kind.name))
    };
    list().map_err(|e| e.context(format!("cannot list the snapshots of {}", source.path.display())))
}

/// Makes, applies or deletes an internal snapshot. Returns those that there are now, in the order of the image's table.
///
/// # Errors
///
/// [`Unsupported`](imgfmt_core::ErrorKind::Unsupported) where the format has none,
/// [`Invalid`](imgfmt_core::ErrorKind::Invalid) where a name is taken, and as [`Snapshots`](imgfmt_core::Snapshots).
pub fn snapshot(source: &Source, action: &SnapshotAction, access: &Access<'_>) -> Result<Vec<SnapshotInfo>> {
    let change = || {
        let image = Edited::open(source, access)?;
        let snapshots = image.kind.need(image.kind.abilities.snapshots, NONE)?;
        let (medium, context) = (image.medium(), image.context());
        if let SnapshotAction::Create(name) = action {
            let list = snapshots.list(image.storage(), &context).map_err(|e| e.in_format(image.kind.name))?;
            if list.iter().any(|snapshot| snapshot.name == *name) {
                return Err(Error::invalid(format!("there is a snapshot called {name} already")));
            }
        }
        let done = match action {
            SnapshotAction::Create(name) | SnapshotAction::CreateAnother(name) => {
                snapshots.create(medium, name, SystemTime::now(), &context)
            }
            SnapshotAction::Apply(name) => snapshots.apply(medium, name, &context),
            SnapshotAction::Delete(name) => snapshots.delete(medium, name, &context),
        };
        done.and_then(|()| snapshots.list(image.storage(), &context)).map_err(|e| e.in_format(image.kind.name))
    };
    change().map_err(|e| e.context(format!("cannot change the snapshots of {}", source.path.display())))
}

/// What images cannot where the format has no snapshots.
const NONE: &str = "have no internal snapshots";
