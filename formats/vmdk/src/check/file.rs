//! A file that is looked at, and maybe mended.

use std::path::Path;
use std::sync::Arc;

use imgfmt_core::{Error, Medium, Repair, Result, Role, Storage, Target};

use super::job::Job;

/// A file of the image.
#[derive(Clone, Debug)]
pub(super) struct File {
    /// Its bytes.
    pub(super) storage: Arc<dyn Storage>,
    /// The same, where they may be changed.
    medium: Option<Arc<dyn Medium>>,
}

impl File {
    /// A file that is only looked at.
    pub(super) fn to_read(storage: Arc<dyn Storage>) -> Self {
        Self { storage, medium: None }
    }

    /// A file that may be mended.
    pub(super) fn to_mend(medium: Arc<dyn Medium>) -> Self {
        Self { storage: Arc::clone(&medium) as Arc<dyn Storage>, medium: Some(medium) }
    }

    /// Asks the gate for the file called `name`, to be mended where the job is to mend and the file is one that `can_be`.
    pub(super) fn admit(job: &Job<'_, '_>, name: &Path, can_be: bool) -> Result<Self> {
        if can_be && job.mends(Repair::Leaks) {
            return job.context.admit_to_write(name, Role::Extent).map(|found| Self::to_mend(found.medium));
        }
        job.context.admit(name, Role::Extent).map(|found| Self::to_read(found.storage))
    }

    /// Where to write.
    pub(super) fn target(&self) -> Result<&dyn Target> {
        match &self.medium {
            Some(medium) => Ok(medium.as_ref()),
            None => Err(Error::invalid("the image was opened to be looked at alone")),
        }
    }
}
