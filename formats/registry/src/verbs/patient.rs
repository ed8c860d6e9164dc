//! The files of an image from a bad disk, none of whose reads is tried twice.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use imgfmt_core::storage::Once;
use imgfmt_core::{Admitted, Gate, Reference, Result, Writable};

/// A gate that opens what another one does.
pub(crate) struct Patient<'a>(pub(crate) &'a dyn Gate);

#[deny(clippy::missing_trait_methods)]
impl Gate for Patient<'_> {
    fn open(&self, reference: &Reference<'_>) -> Result<Admitted> {
        let Admitted { storage, path } = self.0.open(reference)?;
        Ok(Admitted { storage: Arc::new(Once::new(storage)), path })
    }

    fn open_to_write(&self, reference: &Reference<'_>) -> Result<Writable> {
        self.0.open_to_write(reference)
    }

    fn beside(&self, image: &Path) -> Result<Vec<PathBuf>> {
        self.0.beside(image)
    }
}
