//! Internal snapshots: states of a disk that one image keeps.

use std::sync::Arc;
use std::time::SystemTime;

use crate::Result;
use crate::format::OpenContext;
use crate::medium::Medium;
use crate::storage::Storage;

/// A format whose images keep internal snapshots.
pub trait Snapshots: Send + Sync {
    /// The snapshots of the image, in the order of its table.
    ///
    /// # Errors
    ///
    /// As [`Format::open`](crate::Format::open).
    fn list(&self, storage: Arc<dyn Storage>, context: &OpenContext<'_>) -> Result<Vec<SnapshotInfo>>;

    /// Keeps the current state as a snapshot called `name`, taken at `now`. There may be others of that name: its id is its own.
    ///
    /// # Errors
    ///
    /// As [`Edit::edit`](crate::editor::Edit::edit).
    fn create(&self, medium: Arc<dyn Medium>, name: &str, now: SystemTime, context: &OpenContext<'_>) -> Result<()>;

    /// Makes the state of the snapshot with that id or name the current one: of several, the first. The snapshot stays.
    ///
    /// # Errors
    ///
    /// [`Missing`](crate::ErrorKind::Missing) where there is none, and as [`Edit::edit`](crate::editor::Edit::edit).
    fn apply(&self, medium: Arc<dyn Medium>, name: &str, context: &OpenContext<'_>) -> Result<()>;

    /// Deletes the snapshot with that id or name, and gives back the space that only it used.
    ///
    /// # Errors
    ///
    /// As [`apply`](Self::apply).
    fn delete(&self, medium: Arc<dyn Medium>, name: &str, context: &OpenContext<'_>) -> Result<()>;
}

/// What is to be said about a snapshot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SnapshotInfo {
    /// Its id, unique in the image.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Bytes of the state of the virtual machine that was kept with it.
    pub vm_state_size: u64,
    /// When it was taken, in seconds since 1970.
    pub date_sec: u32,
    /// The nanoseconds of that second.
    pub date_nsec: u32,
    /// How long the virtual machine had run, in nanoseconds.
    pub vm_clock_nsec: u64,
    /// Instructions that the virtual machine had run, where that was counted.
    pub icount: Option<u64>,
    /// Guest bytes of the disk then.
    pub disk_size: u64,
}
