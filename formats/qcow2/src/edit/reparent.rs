//! Another backing file, or none.

use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use imgfmt_core::{Backing, Error, Medium, OpenContext, Reparent, Result};

use super::disk::Disk;
use crate::Qcow2;
use crate::layout::HeaderExtension;

impl Reparent for Qcow2 {
    fn set_parent(&self, medium: Arc<dyn Medium>, parent: Option<&Backing>, context: &OpenContext<'_>) -> Result<()> {
        // Keys are not needed to change a name.
        let context = OpenContext { describe_only: true, ..*context };
        let mut disk = Disk::open(medium, &context)?;
        check(&disk, parent)?;
        // Only a name changes: what bitmaps that record have is kept.
        disk.drop_unknown_features()?;
        let name = parent.map(|parent| &parent.name);
        let format = name.and_then(|name| name.format.as_ref());
        disk.head.backing = name.map(|name| name.name.as_os_str().as_bytes().to_vec());
        disk.head.set_extension(HeaderExtension::BACKING_FORMAT, format.map(|format| format.as_bytes().to_vec()));
        disk.head.rewrite(disk.medium.as_ref())
    }
}

/// Refuses a parent that the image cannot name.
fn check(disk: &Disk<'_>, parent: Option<&Backing>) -> Result<()> {
    let Some(parent) = parent else { return Ok(()) };
    let name = parent.name.name.as_os_str().as_bytes();
    if name.is_empty() || name.contains(&0) {
        return Err(Error::invalid("the backing file's name is empty or holds a NUL byte"));
    }
    if parent.name.format.as_ref().is_some_and(|format| format.len() > MAX_FORMAT_LEN) {
        return Err(Error::invalid(format!(
            "the backing file's format has a name of more than {MAX_FORMAT_LEN} bytes"
        )));
    }
    if disk.header.features.data_file_raw() {
        let what = "the data file can be read without the image, and would not show what a backing file has";
        return Err(Error::unsupported(what));
    }
    Ok(())
}

/// Longest name of a format that QEMU reads.
const MAX_FORMAT_LEN: usize = 15;
