//! Files in memory that images name.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::chain::Chain;
use crate::format::Format;
use crate::gate::{Admitted, Gate, Reference, Writable};
use crate::limits::Limits;
use crate::medium::{Medium, MemoryMedium};
use crate::open::Opener;
use crate::storage::Storage;
use crate::{Error, ErrorKind, Result};

/// Files by their names, as a gate that admits them all.
#[derive(Clone, Debug, Default)]
pub struct Files(HashMap<PathBuf, Arc<dyn Medium>>);

impl Files {
    /// Adds a file.
    pub fn add(&mut self, name: &str, bytes: Vec<u8>) {
        self.add_medium(name, Arc::new(MemoryMedium::new(&bytes)));
    }

    /// Adds a file that may be written elsewhere, too.
    pub fn add_medium(&mut self, name: &str, medium: Arc<dyn Medium>) {
        self.0.insert(PathBuf::from(name), medium);
    }

    /// The file called `name`, to be changed.
    ///
    /// # Errors
    ///
    /// [`Missing`](ErrorKind::Missing) where no file is called so.
    pub fn medium(&self, name: &Path) -> Result<Arc<dyn Medium>> {
        self.0.get(name).cloned().ok_or_else(|| Error::new(ErrorKind::Missing, "there is no such file"))
    }

    /// Opens the image of `format` called `name` with all that it builds on.
    ///
    /// # Errors
    ///
    /// As [`Opener::open`]; [`Missing`](ErrorKind::Missing) where no file is called so.
    pub fn open(&self, format: &dyn Format, name: &str) -> Result<Chain> {
        let (formats, limits) = ([format], Limits::default());
        let opener = Opener::new(&formats, self, &limits);
        let path = Path::new(name);
        opener.open(self.storage(path)?, Some(path), Some(format.name()))
    }

    /// The bytes of the file called `name`.
    fn storage(&self, name: &Path) -> Result<Arc<dyn Storage>> {
        Ok(self.medium(name)?)
    }
}

impl Gate for Files {
    fn open(&self, reference: &Reference<'_>) -> Result<Admitted> {
        Ok(Admitted { storage: self.storage(reference.name)?, path: reference.name.to_path_buf() })
    }

    fn open_to_write(&self, reference: &Reference<'_>) -> Result<Writable> {
        Ok(Writable { medium: self.medium(reference.name)?, path: reference.name.to_path_buf() })
    }

    fn beside(&self, image: &Path) -> Result<Vec<PathBuf>> {
        let mut names: Vec<_> = self.0.keys().filter(|name| *name != image).cloned().collect();
        names.sort();
        Ok(names)
    }
}
