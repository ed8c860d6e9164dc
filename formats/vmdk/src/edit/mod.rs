//! Changing an image in place.
//!
//! Data goes to its place at once; table entries wait in memory. A flush syncs data, writes the redundant tables, then
//! the others, each synced: cut in between, readers see the old tables or the new, and the check knows from
//! `uncleanShutdown` which of two copies to follow. A grain that was given up is used again only when no table on the
//! medium leads to it any more.

mod cid;
mod directory;
mod end;
mod erase;
mod flush;
mod free;
mod grains;
mod live;
mod open;
mod reparent;
mod resize;
mod resize_flat;
mod resize_grains;
mod sectors;
mod state;
mod write;

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use imgfmt_core::{Edit, Erase, Error, Image, ImageEditor, Medium, OpenContext, Preallocation, Result};

use crate::NAME;
use live::LiveImage;
pub(crate) use reparent::Reparenter;
use state::State;

/// Opens images of this format to be edited.
pub(crate) struct Opener;

impl Edit for Opener {
    fn edit<'a>(&self, medium: Arc<dyn Medium>, context: &OpenContext<'a>) -> Result<Box<dyn ImageEditor + 'a>> {
        let state = open::open(medium, context).map_err(|e| e.in_format(NAME))?;
        Ok(Box::new(Editor { state: Arc::new(Mutex::new(state)) }))
    }
}

/// An image that is being edited.
struct Editor {
    /// What is known of it; readers look at it, too.
    state: Arc<Mutex<State>>,
}

impl Editor {
    /// The state, for one call.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something with the state.
    fn with<T>(&self, act: impl FnOnce(&mut State) -> Result<T>) -> Result<T> {
        act(&mut self.lock()).map_err(|e| e.in_format(NAME))
    }
}

impl ImageEditor for Editor {
    fn image(&self) -> Result<Box<dyn Image>> {
        Ok(Box::new(LiveImage::new(Arc::clone(&self.state), &self.lock())))
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        self.with(|state| state.write(bytes, offset))
    }

    fn erase(&self, range: Range<u64>, how: Erase) -> Result<()> {
        self.with(|state| state.erase(range, how))
    }

    fn resize(&self, size: u64, preallocation: Preallocation) -> Result<()> {
        self.with(|state| state.resize(size, preallocation))
    }

    fn flush(&self) -> Result<()> {
        self.with(State::flush)
    }

    fn close(self: Box<Self>) -> Result<()> {
        self.with(State::close)
    }
}

/// The error of bytes that are the parent's where a part of their unit is to be changed.
fn parents_bytes(at: u64) -> Error {
    let what = format!("guest byte {at} is in a grain whose other bytes are the parent's");
    Error::new(imgfmt_core::ErrorKind::Missing, what)
}
