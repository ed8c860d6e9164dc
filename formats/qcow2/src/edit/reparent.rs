//! Another backing file, or none.

use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use imgfmt_core::{Backing, Medium, OpenContext, Reparent, Result};

use super::disk::Disk;
use crate::Qcow2;
use crate::layout::HeaderExtension;

impl Reparent for Qcow2 {
    fn set_parent(&self, medium: Arc<dyn Medium>, parent: Option<&Backing>, context: &OpenContext<'_>) -> Result<()> {
        // Keys are not needed to change a name.
        let context = OpenContext { describe_only: true, ..*context };
        let mut disk = Disk::open(medium, &context)?;
        let name = parent.map(|parent| &parent.name);
        let format = name.and_then(|name| name.format.as_ref());
        disk.head.backing = name.map(|name| name.name.as_os_str().as_bytes().to_vec());
        disk.head.set_extension(HeaderExtension::BACKING_FORMAT, format.map(|format| format.as_bytes().to_vec()));
        disk.head.rewrite(disk.medium.as_ref())
    }
}
