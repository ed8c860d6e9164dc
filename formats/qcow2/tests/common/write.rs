//! What the tests of writers share: disks written to files in a folder.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use imgfmt_core::convert::Convert;
use imgfmt_core::{CreateRequest, FileTarget, Format, Image, Result, Siblings, Target};
use imgfmt_qcow2::Qcow2;

/// Makes files in a folder.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    /// A new file called `name`.
    pub(crate) fn file(&self, name: &Path) -> Arc<dyn Target> {
        let file = std::fs::File::options().read(true).write(true).create(true).truncate(true).open(self.0.join(name));
        Arc::new(FileTarget::new(file.expect("the folder is there")).expect("it is a file"))
    }
}

impl Siblings for Folder {
    fn create(&self, name: &Path) -> Result<Arc<dyn Target>> {
        Ok(self.file(name))
    }
}

/// Writes `image` to `target`.
pub(crate) fn write(target: Arc<dyn Target>, image: &dyn Image, request: &CreateRequest<'_>) -> Result<()> {
    Convert::default().run(image, Qcow2.create(target, request)?).map(drop)
}
