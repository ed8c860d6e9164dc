//! What a file can be.

use std::path::Path;

use imgfmt_core::{Error, Result, probe as core_probe};

use super::open::{Access, cannot_open, storage};
use crate::FORMATS;

/// The name of the format that claims the file at `path` as it is, with nothing taken off, or else the fallback of
/// `access`.
///
/// # Errors
///
/// [`Ambiguous`](imgfmt_core::ErrorKind::Ambiguous) where several formats claim the file,
/// [`Unsupported`](imgfmt_core::ErrorKind::Unsupported) where none does and there is no fallback, and what the operating
/// system says.
pub fn probe(path: &Path, access: &Access<'_>) -> Result<&'static str> {
    let storage = storage(path, None, access)?;
    let found = core_probe::detect(FORMATS, &storage).map_err(|e| e.context(cannot_open(path)))?;
    match (found, access.fallback) {
        (Some(format), _) => Ok(format.name()),
        (None, Some(name)) => Ok(access.opener().by_name(name)?.name()),
        (None, None) => Err(Error::unsupported("no format claims this file").context(cannot_open(path))),
    }
}
