//! What lies on a disk.

use std::path::Path;

use imgfmt_core::Result;
use imgfmt_inside::{Inside, look};

use super::open::{Access, cannot_open, open};

/// Finds partition tables and file systems on the disk of the image at `path`, with all that it builds on. Reads a few
/// hundred KiB of it, mounts nothing, and tells what is wrong instead of failing. Without a `format`, the file is probed.
///
/// # Errors
///
/// As [`open`], and where the disk cannot be read.
pub fn look_inside(path: &Path, format: Option<&str>, access: &Access<'_>) -> Result<Inside> {
    let disk = open(path, format, access)?;
    look(&disk, &access.limits).map_err(|e| e.context(cannot_open(path)))
}
