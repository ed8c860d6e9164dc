//! May this image open that file?
//!
//! An image never opens another file by itself: backing files, data files and extents are asked for
//! here, and the default answer is no.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Mode, OFlags, ResolveFlags};

use crate::lock::Locking;
use crate::medium::{FileMedium, Medium};
use crate::storage::{FileStorage, Storage};
use crate::{Error, Result};

/// What the named file is to the image that names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Role {
    /// The layer below: a backing file or snapshot parent.
    Parent,
    /// A file that holds the image's own data.
    Extent,
}

/// A file that an image names.
#[derive(Clone, Copy, Debug)]
pub struct Reference<'a> {
    /// The file that names it, where it is a file; relative names are relative to its folder.
    pub from: Option<&'a Path>,
    /// The name as stored: a literal file name, whatever it looks like.
    pub name: &'a Path,
    /// What it is to the image.
    pub role: Role,
}

/// A file that may be read.
#[derive(Clone, Debug)]
pub struct Admitted {
    /// Its bytes.
    pub storage: Arc<dyn Storage>,
    /// Where it is, for the names that it holds in turn.
    pub path: PathBuf,
}

/// A file that may be changed.
#[derive(Clone, Debug)]
pub struct Writable {
    /// Its bytes.
    pub medium: Arc<dyn Medium>,
    /// Where it is.
    pub path: PathBuf,
}

/// Decides about the files that images name, and opens those that it admits.
pub trait Gate: Send + Sync {
    /// Opens the file that `reference` names.
    ///
    /// # Errors
    ///
    /// [`Refused`](crate::ErrorKind::Refused) where it may not be opened,
    /// [`Missing`](crate::ErrorKind::Missing) where it may but is not there.
    fn open(&self, reference: &Reference<'_>) -> Result<Admitted>;

    /// Opens the file that `reference` names to be changed, too. A gate that does not say otherwise refuses.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open), and [`Locked`](crate::ErrorKind::Locked) where another program uses the file.
    fn open_to_write(&self, reference: &Reference<'_>) -> Result<Writable> {
        let name = reference.name.display();
        Err(Error::refused(format!("the image names {name}, and images may not change other files here")))
    }

    /// The names of the files beside `image` that [`open`](Self::open) could be asked for, in order of their names: for
    /// parents that are known by an identity alone.
    ///
    /// # Errors
    ///
    /// [`Refused`](crate::ErrorKind::Refused) where they may not be opened.
    fn beside(&self, image: &Path) -> Result<Vec<PathBuf>>;
}

/// Admits nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct DenyAll;

impl Gate for DenyAll {
    fn open(&self, reference: &Reference<'_>) -> Result<Admitted> {
        let what = format!("the image names {}, and images may not open other files here", reference.name.display());
        Err(Error::refused(what))
    }

    fn beside(&self, _image: &Path) -> Result<Vec<PathBuf>> {
        Err(Error::refused("images may not open other files here"))
    }
}

/// Admits regular files and block devices below given folders, and below the folder of the image
/// that was opened. The kernel keeps links and `..` from leading out.
#[derive(Clone, Debug, Default)]
pub struct Beneath {
    /// The folders, absolute and without links.
    roots: Vec<PathBuf>,
    /// Whether files may be opened that other programs write.
    ignores_locks: bool,
}

impl Beneath {
    /// A gate that admits nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Admits what lies in or below `folder`; a path to a file admits that file alone.
    ///
    /// # Errors
    ///
    /// [`Missing`](crate::ErrorKind::Missing) and the like, where `folder` cannot be resolved.
    pub fn allow(&mut self, folder: &Path) -> Result<()> {
        let root = folder.canonicalize().map_err(|e| Error::io(format!("cannot allow {}", folder.display()), e))?;
        self.roots.push(root);
        Ok(())
    }

    /// Admits what lies beside or below the file at `image`. Beside a file in the root folder lies the whole
    /// system, so there it admits nothing.
    ///
    /// # Errors
    ///
    /// As [`allow`](Self::allow).
    pub fn allow_beside(&mut self, image: &Path) -> Result<()> {
        let file = image.canonicalize().map_err(|e| Error::io(format!("cannot open {}", image.display()), e))?;
        match file.parent() {
            // It is without links, as the roots have to be.
            Some(folder) if folder != Path::new("/") => self.roots.push(folder.to_path_buf()),
            _ => {}
        }
        Ok(())
    }

    /// Opens files whatever other programs do with them.
    pub fn ignore_locks(&mut self) {
        self.ignores_locks = true;
    }

    /// Opens `path` by way of the first folder that it does not lead out of, if there is one.
    fn open_below(&self, path: &Path, access: OFlags) -> Option<rustix::io::Result<OwnedFd>> {
        let below = self.roots.iter().filter_map(|root| Some((root, path.strip_prefix(root).ok()?)));
        below
            .map(|(root, below)| open_beneath(root, below, access))
            .find(|opened| !matches!(opened, Err(rustix::io::Errno::XDEV | rustix::io::Errno::LOOP)))
    }

    /// Opens the file that `reference` means, if it is below one of the folders, and says where it is.
    fn admit(&self, reference: &Reference<'_>, access: OFlags) -> Result<(File, PathBuf)> {
        let path = absolute(reference)?;
        let refused = || {
            let roots: Vec<_> = self.roots.iter().map(|root| root.display().to_string()).collect();
            let what = match roots.as_slice() {
                [] => "and it may open no other file".to_owned(),
                roots => format!("which is outside of what it may open ({})", roots.join(", ")),
            };
            Error::refused(format!("the image names {}, {what}", reference.name.display()))
        };
        // The name as it stands; and where it leads, for by way of `..` and links it may lie below another folder.
        let opened = self.open_below(&path, access).or_else(|| self.open_below(&real(&path)?, access));
        let fd = opened.ok_or_else(refused)?.map_err(|e| Error::io(cannot(&path), std::io::Error::from(e)))?;
        Ok((fd.into(), path))
    }

    /// The locks to take for `locking`.
    fn locking(&self, locking: Locking) -> Locking {
        if self.ignores_locks { Locking::Ignore } else { locking }
    }
}

/// What could not be done.
fn cannot(path: &Path) -> String {
    format!("cannot open {}, which the image names", path.display())
}

impl Gate for Beneath {
    fn open(&self, reference: &Reference<'_>) -> Result<Admitted> {
        let (file, path) = self.admit(reference, OFlags::RDONLY)?;
        let storage = FileStorage::from_file(file).and_then(|storage| storage.lock(self.locking(Locking::Read)));
        Ok(Admitted { storage: Arc::new(storage.map_err(|e| e.context(cannot(&path)))?), path })
    }

    fn open_to_write(&self, reference: &Reference<'_>) -> Result<Writable> {
        let (file, path) = self.admit(reference, OFlags::RDWR)?;
        let medium = FileMedium::from_file(file, self.locking(Locking::Write)).map_err(|e| e.context(cannot(&path)))?;
        Ok(Writable { medium: Arc::new(medium), path })
    }

    fn beside(&self, image: &Path) -> Result<Vec<PathBuf>> {
        let cannot = |e| Error::io(format!("cannot look beside {}", image.display()), e);
        let file = image.canonicalize().map_err(cannot)?;
        let folder = file.parent().unwrap_or(Path::new("/"));
        if !self.roots.iter().any(|root| folder.starts_with(root)) {
            return Err(Error::refused(format!("images may not open files in {}", folder.display())));
        }
        let mut names = Vec::new();
        for entry in folder.read_dir().map_err(cannot)? {
            let entry = entry.map_err(cannot)?;
            if entry.file_type().is_ok_and(|kind| kind.is_file()) && entry.path() != file {
                names.push(PathBuf::from(entry.file_name()));
            }
        }
        names.sort();
        Ok(names)
    }
}

/// The absolute path that a reference means: its name, relative to the real folder of the file that names it.
fn absolute(reference: &Reference<'_>) -> Result<PathBuf> {
    if reference.name.is_absolute() {
        return Ok(reference.name.to_path_buf());
    }
    let from = reference.from.ok_or_else(|| {
        Error::refused(format!("{} is relative to an image that is not a file", reference.name.display()))
    })?;
    let file = from.canonicalize().map_err(|e| Error::io(format!("cannot resolve {}", from.display()), e))?;
    Ok(file.parent().unwrap_or(Path::new("/")).join(reference.name))
}

/// Where `path` leads, links and `..` resolved; only the last part may be missing.
fn real(path: &Path) -> Option<PathBuf> {
    path.canonicalize().ok().or_else(|| Some(path.parent()?.canonicalize().ok()?.join(path.file_name()?)))
}

/// Opens `below` under `root` without leaving it. An empty `below` is the root itself, a single file.
fn open_beneath(root: &Path, below: &Path, access: OFlags) -> rustix::io::Result<OwnedFd> {
    // A pipe would block until a writer comes; it is refused for its type once it is open.
    let flags = access | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    if below.as_os_str().is_empty() {
        return rustix::fs::open(root, flags, Mode::empty());
    }
    let folder = rustix::fs::open(root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    match rustix::fs::openat2(&folder, below, flags, Mode::empty(), resolve) {
        // A kernel or sandbox without openat2: only names that need no resolving can be trusted.
        Err(rustix::io::Errno::NOSYS | rustix::io::Errno::PERM) => open_plain(root, below, flags),
        other => other,
    }
}

/// Opens `below` under `root` where the kernel cannot confine the walk: no `..`, and no links on the way.
fn open_plain(root: &Path, below: &Path, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    if below.components().any(|part| !matches!(part, Component::Normal(_))) {
        return Err(rustix::io::Errno::XDEV);
    }
    let path = root.join(below);
    match path.canonicalize() {
        Ok(real) if real == path => rustix::fs::open(&path, flags | OFlags::NOFOLLOW, Mode::empty()),
        Ok(_) => Err(rustix::io::Errno::XDEV),
        Err(_) => Err(rustix::io::Errno::NOENT),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::ErrorKind;

    fn open(gate: &dyn Gate, from: &Path, name: &str) -> Result<Admitted> {
        gate.open(&Reference { from: Some(from), name: Path::new(name), role: Role::Parent })
    }

    #[test]
    fn a_gate_admits_what_lies_beside_the_image_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let image = dir.path().join("images/top.img");
        std::fs::create_dir_all(dir.path().join("images/below")).unwrap();
        for name in ["images/top.img", "images/base.img", "images/below/deep.img", "secret.img"] {
            std::fs::write(dir.path().join(name), name).unwrap();
        }
        symlink("../secret.img", dir.path().join("images/link.img")).unwrap();
        symlink("base.img", dir.path().join("images/fine.img")).unwrap();

        let mut gate = Beneath::new();
        gate.allow_beside(&image).unwrap();
        for name in ["base.img", "below/deep.img", "below/../base.img", "fine.img"] {
            assert!(open(&gate, &image, name).is_ok(), "{name}");
        }
        let absolute = dir.path().canonicalize().unwrap().join("images/base.img");
        assert!(open(&gate, &image, absolute.to_str().unwrap()).is_ok());
        for name in ["../secret.img", "link.img", "/etc/hostname", "below/../../secret.img"] {
            assert_eq!(open(&gate, &image, name).unwrap_err().kind(), ErrorKind::Refused, "{name}");
        }
        assert_eq!(open(&gate, &image, "json:{}").unwrap_err().kind(), ErrorKind::Missing);

        gate.allow(&dir.path().join("secret.img")).unwrap();
        let secret = dir.path().canonicalize().unwrap().join("secret.img");
        assert!(open(&gate, &image, secret.to_str().unwrap()).is_ok());
        assert!(open(&gate, &image, "../secret.img").is_ok());
        assert!(open(&gate, &image, "link.img").is_ok());
        assert_eq!(open(&gate, &image, "../other.img").unwrap_err().kind(), ErrorKind::Refused);
    }

    #[test]
    fn a_name_may_lead_from_one_admitted_folder_to_another() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["images", "bases"] {
            std::fs::create_dir(dir.path().join(name)).unwrap();
        }
        symlink("bases", dir.path().join("old")).unwrap();
        let image = dir.path().join("images/top.img");
        std::fs::write(&image, "").unwrap();
        std::fs::write(dir.path().join("bases/base.img"), "").unwrap();

        let mut gate = Beneath::new();
        gate.allow_beside(&image).unwrap();
        assert_eq!(open(&gate, &image, "../bases/base.img").unwrap_err().kind(), ErrorKind::Refused);
        gate.allow(&dir.path().join("bases")).unwrap();
        for name in ["../bases/base.img", "../old/base.img"] {
            assert!(open(&gate, &image, name).is_ok(), "{name}");
        }
        assert_eq!(open(&gate, &image, "../bases/none.img").unwrap_err().kind(), ErrorKind::Missing);
    }

    #[test]
    fn the_default_denies() {
        assert_eq!(open(&DenyAll, Path::new("a"), "b").unwrap_err().kind(), ErrorKind::Refused);
    }
}
