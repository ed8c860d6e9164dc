//! The other files of a new image: they take the place of nothing that it is made from.

use std::path::Path;
use std::sync::Arc;

use imgfmt_core::{Error, Image, Result, Siblings, Target};

use super::backing::folder_of;
use super::files::{HostFile, host_files, place_of};

/// Makes the other files of a new image, but not in the place of a file that is read for it, or that it builds on: the image's own
/// file may replace a source that has been read whole, since it then is that image; a part of it is not.
pub(crate) struct OtherFiles<'a> {
    /// Makes them.
    siblings: &'a dyn Siblings,
    /// The new image's own file.
    target: &'a Path,
    /// The files that stay.
    kept: Vec<HostFile>,
}

impl<'a> OtherFiles<'a> {
    /// What `siblings` makes for the image at `target`, but for the files `kept`, which stay.
    pub(crate) fn new(siblings: &'a dyn Siblings, target: &'a Path, kept: Vec<HostFile>) -> Self {
        Self { siblings, target, kept }
    }

    /// The same, but for the files of `image` too.
    ///
    /// # Errors
    ///
    /// [`Io`](imgfmt_core::ErrorKind::Io) where the system does not know them.
    pub(crate) fn and(mut self, image: &dyn Image) -> Result<Self> {
        self.kept.extend(host_files(image)?);
        Ok(self)
    }
}

impl Siblings for OtherFiles<'_> {
    fn create(&self, name: &Path) -> Result<Arc<dyn Target>> {
        let path = folder_of(self.target).join(name);
        if HostFile::at(&path).is_some_and(|file| self.kept.contains(&file)) {
            let what = "is read for the new image or under it, and would be overwritten by a part of it";
            return Err(Error::invalid(format!("{} {what}", path.display())));
        }
        if place_of(&path).is_some_and(|place| place_of(self.target) == Some(place)) {
            return Err(Error::invalid(format!("{} would be both the image and a part of it", path.display())));
        }
        self.siblings.create(name)
    }
}
