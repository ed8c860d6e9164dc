//! What images may open here. Callers have backing files anywhere, so those may lie anywhere; data files and extents,
//! which hold an image's own bytes, have to lie beside or below the file that names them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use imgfmt::{Admitted, Beneath, Error, Gate, Reference, Result, Role, Writable};

use super::formats::{self, RAW};

/// The gate of this program.
#[derive(Debug)]
pub(crate) struct QemuGate {
    /// Admits backing files: all files.
    anywhere: Beneath,
    /// Whether files are opened whatever others do with them.
    ignores_locks: bool,
    /// Whether what an image builds on may be written to.
    writes_parents: bool,
    /// Admits backing files whatever others do with them, where those that are nothing but bytes may be in use.
    in_use: Option<Beneath>,
    /// What the command line says that an image builds on, by the real path of the image.
    instead: Mutex<BTreeMap<PathBuf, PathBuf>>,
}

impl QemuGate {
    /// A gate that lets images be read; `ignores_locks` also while others write them.
    pub(crate) fn new(ignores_locks: bool) -> Result<Self> {
        let mut anywhere = Beneath::new();
        anywhere.allow(Path::new("/"))?;
        if ignores_locks {
            anywhere.ignore_locks();
        }
        Ok(Self { anywhere, ignores_locks, writes_parents: false, in_use: None, instead: Mutex::default() })
    }

    /// Lets images build on what is nothing but bytes also while others write to it, as QEMU does where only their places are asked
    /// for: no table of it can be half changed.
    pub(crate) fn share_plain_parents(&mut self) -> Result<()> {
        let mut gate = Beneath::new();
        gate.allow(Path::new("/"))?;
        gate.ignore_locks();
        self.in_use = Some(gate);
        Ok(())
    }

    /// Opens what an image builds on.
    fn parent(&self, reference: &Reference<'_>) -> Result<Admitted> {
        if let Some(gate) = &self.in_use {
            let admitted = gate.open(reference)?;
            if formats::probed(&admitted.storage).is_ok_and(|format| format.name == RAW) {
                return Ok(admitted);
            }
        }
        self.anywhere.open(reference)
    }

    /// Lets what images build on be written to, too.
    pub(crate) fn write_parents(&mut self) {
        self.writes_parents = true;
    }

    /// Has the image at `image` build on `files`, one below the other, whatever it and they say.
    pub(crate) fn replace(&self, image: &Path, files: &[PathBuf]) {
        let mut instead = self.instead.lock().unwrap_or_else(PoisonError::into_inner);
        let mut top = image.to_path_buf();
        for file in files {
            if let Ok(real) = top.canonicalize() {
                instead.insert(real, file.clone());
            }
            top.clone_from(file);
        }
    }

    /// The file that stands in for the one that `reference` names.
    fn stand_in(&self, reference: &Reference<'_>) -> Option<PathBuf> {
        let from = reference.from?.canonicalize().ok()?;
        let instead = self.instead.lock().unwrap_or_else(PoisonError::into_inner);
        // One that is not there is missing then: what the image names is not read in its place.
        instead.get(&from).map(|file| file.canonicalize().unwrap_or_else(|_| file.clone()))
    }

    /// The gate for one image's own files.
    fn beside_of(&self, reference: &Reference<'_>) -> Result<Beneath> {
        let from = reference.from.ok_or_else(|| Error::refused("an image that is no file can name no others"))?;
        let mut gate = Beneath::new();
        gate.allow_beside(from)?;
        if self.ignores_locks {
            gate.ignore_locks();
        }
        Ok(gate)
    }
}

impl Gate for QemuGate {
    fn open(&self, reference: &Reference<'_>) -> Result<Admitted> {
        match reference.role {
            Role::Parent => match self.stand_in(reference) {
                Some(name) => self.parent(&Reference { name: &name, ..*reference }),
                None => self.parent(reference),
            },
            _ => self.beside_of(reference)?.open(reference),
        }
    }

    fn open_to_write(&self, reference: &Reference<'_>) -> Result<Writable> {
        match reference.role {
            Role::Parent if !self.writes_parents => {
                let name = reference.name.display();
                Err(Error::refused(format!("the image builds on {name}, which is not to be written to")))
            }
            Role::Parent => match self.stand_in(reference) {
                Some(name) => self.anywhere.open_to_write(&Reference { name: &name, ..*reference }),
                None => self.anywhere.open_to_write(reference),
            },
            _ => self.beside_of(reference)?.open_to_write(reference),
        }
    }

    fn beside(&self, image: &Path) -> Result<Vec<PathBuf>> {
        let mut gate = Beneath::new();
        gate.allow_beside(image)?;
        gate.beside(image)
    }
}

#[cfg(test)]
mod tests {
    use imgfmt::ErrorKind;

    use super::*;

    fn ask(gate: &QemuGate, from: &Path, name: &str, role: Role) -> Result<Admitted> {
        gate.open(&Reference { from: Some(from), name: Path::new(name), role })
    }

    #[test]
    fn parents_lie_anywhere_and_an_images_own_bytes_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("images")).unwrap();
        let image = dir.path().join("images/top.img");
        for name in ["images/top.img", "images/data.img", "base.img"] {
            std::fs::write(dir.path().join(name), name).unwrap();
        }
        let gate = QemuGate::new(false).unwrap();
        let base = dir.path().canonicalize().unwrap().join("base.img");
        for name in ["../base.img", base.to_str().unwrap(), "data.img"] {
            assert!(ask(&gate, &image, name, Role::Parent).is_ok(), "{name}");
        }
        assert!(ask(&gate, &image, "data.img", Role::Extent).is_ok());
        for name in ["../base.img", base.to_str().unwrap(), "/etc/hostname"] {
            assert_eq!(ask(&gate, &image, name, Role::Extent).unwrap_err().kind(), ErrorKind::Refused, "{name}");
        }
    }

    #[test]
    fn the_command_line_can_say_what_an_image_builds_on() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().canonicalize().unwrap().join(name);
        for name in ["top.img", "base.img", "other.img"] {
            std::fs::write(path(name), name).unwrap();
        }
        let gate = QemuGate::new(false).unwrap();
        gate.replace(&path("top.img"), &[path("other.img")]);
        let found = ask(&gate, &path("top.img"), "base.img", Role::Parent).unwrap();
        assert_eq!(found.path, path("other.img"));
        let found = ask(&gate, &path("other.img"), "base.img", Role::Parent).unwrap();
        assert_eq!(found.path, path("base.img"));
    }
}
