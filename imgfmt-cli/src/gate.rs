//! What images may open: files beside or below them, and what the user allows.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use imgfmt::{Admitted, Beneath, ErrorKind, Gate, Reference, Result, Writable};

use crate::failure::Failure;

/// The gate of the program. It remembers what it turned away, so that the user can be told how to allow it.
#[derive(Debug, Default)]
pub(crate) struct CliGate {
    /// Decides.
    inner: Beneath,
    /// The file that was turned away last.
    refused: Mutex<Option<PathBuf>>,
}

impl CliGate {
    /// A gate that admits what lies beside or below `images`, and `allowed`. Beside a device lie all other
    /// devices, which are nothing that an image may have.
    ///
    /// With `force_share`, files are opened whatever other programs do with them.
    pub(crate) fn new<'p>(
        images: impl Iterator<Item = &'p Path>,
        allowed: &[PathBuf],
        force_share: bool,
    ) -> Result<Self> {
        let mut inner = Beneath::new();
        if force_share {
            inner.ignore_locks();
        }
        for image in images.filter(|image| !is_device(image)) {
            inner.allow_beside(image)?;
        }
        for path in allowed {
            inner.allow(path)?;
        }
        Ok(Self { inner, refused: Mutex::default() })
    }

    /// The failure that `error` is, with the way past this gate where it was the gate that refused.
    pub(crate) fn explain(&self, error: imgfmt::Error) -> Failure {
        let refused = self.refused.lock().map_or(None, |mut refused| refused.take());
        Failure::new(error, refused)
    }

    /// Remembers what was turned away, if `result` says so.
    fn noted<T>(&self, reference: &Reference<'_>, result: Result<T>) -> Result<T> {
        let is_refused = result.as_ref().is_err_and(|e| e.kind() == ErrorKind::Refused);
        if is_refused && let Ok(mut refused) = self.refused.lock() {
            *refused = meant(reference);
        }
        result
    }
}

#[deny(clippy::missing_trait_methods)]
impl Gate for CliGate {
    fn open(&self, reference: &Reference<'_>) -> Result<Admitted> {
        self.noted(reference, self.inner.open(reference))
    }

    fn open_to_write(&self, reference: &Reference<'_>) -> Result<Writable> {
        self.noted(reference, self.inner.open_to_write(reference))
    }

    fn beside(&self, image: &Path) -> Result<Vec<PathBuf>> {
        self.inner.beside(image)
    }
}

/// Whether there is something at `path` that is no regular file.
fn is_device(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| !metadata.is_file())
}

/// The file that a reference means, if it is there and may be looked at.
fn meant(reference: &Reference<'_>) -> Option<PathBuf> {
    // Where an image is no file, only an absolute name means something.
    let folder = match reference.from {
        Some(from) => from.canonicalize().ok()?.parent()?.to_path_buf(),
        None if reference.name.is_absolute() => PathBuf::new(),
        None => return None,
    };
    folder.join(reference.name).canonicalize().ok()
}
