//! Changing an image in place.
//!
//! Guest data goes into its block, or into a block that nothing names yet. What changes of tables – block allocation
//! table, sector bitmaps, metadata, region tables – is held in memory and put into the file by a [commit], all of it
//! or nothing. So a cut leaves the tables of the last commit, and sectors of data that are old or new.

mod blocks;
mod commit;
mod erase;
mod grow;
mod journal;
mod reparent;
mod resize;
mod sectors;
mod state;

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use imgfmt_core::{Edit, Erase, Error, Halt, Image, ImageEditor, Medium, OpenContext, Preallocation, Result};

use crate::{NAME, Vhdx};
use blocks::Content;
use state::State;

impl Edit for Vhdx {
    fn edit<'a>(&self, medium: Arc<dyn Medium>, context: &OpenContext<'a>) -> Result<Box<dyn ImageEditor + 'a>> {
        context.without_snapshots()?;
        let state = State::open(Halt::default().guard(medium), context.limits).map_err(|e| e.in_format(NAME))?;
        Ok(Box::new(VhdxEditor(Mutex::new(state))))
    }
}

/// An image that is changed.
struct VhdxEditor(Mutex<State>);

impl VhdxEditor {
    /// Does something with the state, alone.
    fn with<T>(&self, act: impl FnOnce(&mut State) -> Result<T>) -> Result<T> {
        let mut state = self.lock()?;
        act(&mut state).map_err(|e| e.in_format(NAME))
    }

    /// The state; what a panic has left is not used.
    fn lock(&self) -> Result<MutexGuard<'_, State>> {
        self.0.lock().map_err(|_: PoisonError<_>| Error::malformed("the editor was left half-way by a panic"))
    }
}

impl ImageEditor for VhdxEditor {
    fn image(&self) -> Result<Box<dyn Image>> {
        self.with(|state| state.image())
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        let end = offset.saturating_add(bytes.len() as u64);
        self.with(|state| state.write(offset..end, Content::Bytes(bytes)))
    }

    fn erase(&self, range: Range<u64>, how: Erase) -> Result<()> {
        self.with(|state| state.erase(range, how))
    }

    fn resize(&self, size: u64, preallocation: Preallocation) -> Result<()> {
        self.with(|state| state.resize(size, preallocation))
    }

    fn flush(&self) -> Result<()> {
        self.with(State::commit)
    }

    fn close(self: Box<Self>) -> Result<()> {
        self.with(State::close)
    }
}
