//! Writing a new image in one pass.
//!
//! [`random`] is the usual way; [`stream`] is for targets that have to be written front to back.

mod allocate;
mod bitmaps;
mod front;
mod header;
mod options;
mod plan;
mod random;
mod settings;
mod state;
mod stream;
mod table;

use std::sync::Arc;

use imgfmt_core::{CreateRequest, ImageWriter, Result, Target};

use imgfmt_crypt::random::{self as chance, Random};
pub(crate) use options::OPTIONS;
use settings::Settings;
pub(crate) use settings::refcount_order;

/// Starts a new image in `target`.
///
/// # Errors
///
/// As [`Format::create`](imgfmt_core::Format::create).
pub(crate) fn create(target: Arc<dyn Target>, request: &CreateRequest<'_>) -> Result<Box<dyn ImageWriter>> {
    create_with(target, request, chance::from_system)
}

/// As [`create`], with keys and salts that `random` gives.
///
/// # Errors
///
/// As [`create`].
pub(crate) fn create_with(
    target: Arc<dyn Target>,
    request: &CreateRequest<'_>,
    random: Random,
) -> Result<Box<dyn ImageWriter>> {
    let settings = Settings::new(request, random)?;
    Ok(if target.in_order() {
        Box::new(stream::StreamWriter::new(target, settings, request)?)
    } else {
        Box::new(random::RandomWriter::new(target, settings, request)?)
    })
}
