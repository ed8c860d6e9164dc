//! Output that is all or nothing.

use std::fs::{File, Metadata, OpenOptions, Permissions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{Access, AtFlags, CWD, StatxAttributes, StatxFlags, access, statx};
use tempfile::NamedTempFile;

use crate::format::Siblings;
use crate::lock::{LockedFile, Locking};
use crate::remote::{NewRemote, Remote};
use crate::storage::{FileStorage, Storage};
use crate::target::{FileTarget, PipeTarget, Target};
use crate::{Error, ErrorKind, Result};

/// A file that appears under its name when it is whole, and not before; and the other files of an image that has several.
///
/// A regular file is written beside its target, under a name that starts with a dot, and renamed by
/// [`commit`](Self::commit). Dropping it before removes it and leaves what was there. A device, a file that is to be kept,
/// and one whose place no other file can take, are written in place. Other files appear before the one that names them.
#[derive(Debug)]
pub struct Output {
    /// Where the bytes go.
    target: Arc<dyn Target>,
    /// The file beside the target, until it is renamed.
    beside: Option<Part>,
    /// Where the file is, or will be; nothing for a device, a pipe, and a file that keeps its length.
    path: Option<PathBuf>,
    /// The other files, in the order in which they were asked for.
    siblings: Mutex<Vec<Part>>,
    /// What is overwritten where it is, with the locks on it.
    _overwritten: Option<LockedFile>,
    /// Whether locks are taken.
    locking: Locking,
    /// What is written, where it is no file of this host.
    remote: Option<Elsewhere>,
}

/// Bytes that are somewhere else, on the way to become an image. Those that were not there before go away again where they do
/// not become whole.
#[derive(Debug)]
struct Elsewhere {
    /// The same bytes, to be read; nothing once they have been let go.
    storage: Option<Arc<dyn Storage>>,
    /// Where they are.
    remote: Arc<dyn Remote>,
    /// Whether to take them back.
    is_unfinished: bool,
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        // Whoever has them open keeps them from going away.
        drop(self.storage.take());
        if self.is_unfinished {
            self.remote.discard();
        }
    }
}

/// A file that waits for its name.
#[derive(Debug)]
struct Part {
    /// The file, under another name.
    file: NamedTempFile,
    /// The same file, to be written.
    target: Arc<FileTarget>,
    /// Where it belongs.
    path: PathBuf,
    /// The file that is there now, with the lock on it.
    _replaced: Option<LockedFile>,
}

impl Output {
    /// Starts a new file that will replace `path`; a block device is opened as it is.
    ///
    /// A link is followed, and an existing file's owner and permissions are kept. An existing file is emptied and written
    /// where it is if no new one can take its place: it has several names, something is mounted on it, its folder takes no
    /// new files, or its owner cannot be given to another file. Nobody may write to what is replaced, from now on until it is.
    ///
    /// # Errors
    ///
    /// What the operating system says when the file or the device cannot be opened for writing. An existing file that
    /// may not be written to is not replaced either. [`Locked`](crate::ErrorKind::Locked) where another program writes to it.
    pub fn create(path: &Path) -> Result<Self> {
        Self::create_locked(path, Locking::Write)
    }

    /// As [`create`](Self::create); with [`Locking::Ignore`], whatever others do with what is there.
    ///
    /// # Errors
    ///
    /// As [`create`](Self::create).
    pub fn create_locked(path: &Path, locking: Locking) -> Result<Self> {
        let path = resolve_links(path);
        let there = path.metadata().ok();
        if there.as_ref().is_some_and(|metadata| !metadata.is_file()) {
            return Self::in_place(&path, locking);
        }
        let Some(there) = there else { return Ok(Self::of_part(Part::create(path, locking)?, locking)) };
        if let Some(part) = Part::instead_of(&path, &there, locking)? {
            return Ok(Self::of_part(part, locking));
        }
        let output = Self::in_place(&path, locking)?;
        output.target.set_len(0).map_err(|e| e.context(format!("cannot create {}", path.display())))?;
        Ok(Self { path: Some(path), ..output })
    }

    /// Starts a new file that will replace the regular file at `path`, which stays as it is until then.
    ///
    /// # Errors
    ///
    /// As [`create_locked`](Self::create_locked); nothing where no other file can take its place.
    pub fn create_beside(path: &Path, locking: Locking) -> Result<Option<Self>> {
        let path = resolve_links(path);
        let there = path.metadata().map_err(|e| cannot_create(&path, e))?;
        Ok(Part::instead_of(&path, &there, locking)?.map(|part| Self::of_part(part, locking)))
    }

    /// An output that `part` is written to.
    fn of_part(part: Part, locking: Locking) -> Self {
        let target = Arc::clone(&part.target) as Arc<dyn Target>;
        let path = Some(part.path.clone());
        Self { beside: Some(part), path, ..Self::plain(target, locking) }
    }

    /// An output that is written where it is.
    fn plain(target: Arc<dyn Target>, locking: Locking) -> Self {
        Self { target, beside: None, path: None, siblings: Mutex::default(), _overwritten: None, locking, remote: None }
    }

    /// Writes to what `remote` has opened, or made.
    #[must_use]
    pub fn remote(remote: Arc<dyn Remote>, new: NewRemote) -> Self {
        let storage = Some(Arc::clone(&new.medium) as Arc<dyn Storage>);
        let remote = Some(Elsewhere { storage, remote, is_unfinished: new.is_new });
        Self { remote, ..Self::plain(new.medium, Locking::Ignore) }
    }

    /// Opens the file or device at `path` to be overwritten where it is, with the locks for `locking`.
    ///
    /// # Errors
    ///
    /// What the operating system says; [`Unsupported`](crate::ErrorKind::Unsupported) for a folder or pipe;
    /// [`Locked`](crate::ErrorKind::Locked) where another program uses it.
    pub fn in_place(path: &Path, locking: Locking) -> Result<Self> {
        let cannot = || format!("cannot write to {}", path.display());
        let kind = path.metadata().map_err(|e| Error::io(cannot(), e))?.file_type();
        if !kind.is_file() && !kind.is_block_device() {
            return Err(Error::unsupported("the target is neither a regular file nor a block device").context(cannot()));
        }
        // Locks are for those who may read. Who may not, writes all the same.
        let mut options = OpenOptions::new();
        let file = options.write(true).read(true).open(path).or_else(|_| options.read(false).open(path));
        let file = file.map_err(|e| Error::io(cannot(), e))?;
        let twice = file.try_clone().map_err(|e| Error::io("cannot open it a second time", e).context(cannot()))?;
        let mut overwritten = LockedFile::from(twice);
        overwritten.lock(locking).map_err(|e| e.context(cannot()))?;
        let target = Arc::new(FileTarget::new(file)?);
        Ok(Self { _overwritten: Some(overwritten), ..Self::plain(target, locking) })
    }

    /// Writes to `pipe`, which nothing can be taken back from.
    #[must_use]
    pub fn pipe(pipe: PipeTarget) -> Self {
        Self::plain(Arc::new(pipe), Locking::Ignore)
    }

    /// Where the bytes go.
    #[must_use]
    pub fn target(&self) -> Arc<dyn Target> {
        Arc::clone(&self.target)
    }

    /// What has been written so far, to be read.
    ///
    /// # Errors
    ///
    /// [`Unsupported`](crate::ErrorKind::Unsupported) for a pipe; [`Io`](crate::ErrorKind::Io).
    pub fn read_back(&self) -> Result<Arc<dyn Storage>> {
        if let Some(storage) = self.remote.as_ref().and_then(|remote| remote.storage.clone()) {
            return Ok(storage);
        }
        let file = self.target.as_file().ok_or_else(|| Error::unsupported("a pipe cannot be read back"))?;
        read_again(file)
    }

    /// What has been written so far to the other file called `name`, relative to the folder of the image's own file, if there
    /// is one.
    ///
    /// # Errors
    ///
    /// [`Io`](crate::ErrorKind::Io).
    pub fn read_sibling(&self, name: &Path) -> Result<Option<Arc<dyn Storage>>> {
        let Some(main) = &self.path else { return Ok(None) };
        let path = resolve_links(&folder_of(main).join(name));
        let siblings = self.siblings.lock().unwrap_or_else(PoisonError::into_inner);
        let sibling = siblings.iter().find(|part| part.path == path);
        sibling.map(|part| read_again(part.file.as_file().as_fd())).transpose()
    }

    /// Puts the files under their names. With `durable`, the bytes and then the names are on the medium
    /// when this returns; without, a power cut can still lose them, as with `qemu-img` by default.
    ///
    /// # Errors
    ///
    /// [`Io`](crate::ErrorKind::Io): then the old file is still there, and the new one is gone. Of an image of several
    /// files, some of the others may have been replaced already.
    pub fn commit(mut self, durable: bool) -> Result<()> {
        let siblings = self.siblings.into_inner().unwrap_or_else(PoisonError::into_inner);
        // What is written somewhere else is known to be there when that was flushed, and not before.
        if durable || self.target.in_order() || self.remote.is_some() {
            siblings.iter().try_for_each(|part| part.target.sync())?;
            self.target.sync()?;
        }
        if let Some(remote) = &mut self.remote {
            remote.is_unfinished = false;
        }
        siblings.into_iter().chain(self.beside).try_for_each(|part| part.rename(durable))
    }
}

impl Siblings for Output {
    fn create(&self, name: &Path) -> Result<Arc<dyn Target>> {
        let Some(main) = &self.path else {
            let what =
                format!("the image needs a second file, {}, and is no new file in a folder itself", name.display());
            return Err(Error::unsupported(what));
        };
        let path = resolve_links(&folder_of(main).join(name));
        let mut siblings = self.siblings.lock().unwrap_or_else(PoisonError::into_inner);
        if path == *main || siblings.iter().any(|part| part.path == path) {
            return Err(Error::invalid(format!("two files of the image would be called {}", path.display())));
        }
        if path.metadata().is_ok_and(|metadata| !metadata.is_file()) {
            return Err(Error::invalid(format!("{} is there, and no regular file", path.display())));
        }
        let part = Part::create(path, self.locking)?;
        let target = Arc::clone(&part.target) as Arc<dyn Target>;
        siblings.push(part);
        Ok(target)
    }
}

impl Part {
    /// A new file that can take the place of the one at `path`, with its owner and permissions. Nothing where there can be
    /// none.
    fn instead_of(path: &Path, there: &Metadata, locking: Locking) -> Result<Option<Self>> {
        // What may not be written to is not replaced either.
        OpenOptions::new().write(true).open(path).map_err(|e| cannot_create(path, e))?;
        if there.nlink() > 1 || is_mounted_on(path) || !takes_files(folder_of(path)) {
            return Ok(None);
        }
        let part = Self::create(path.to_path_buf(), locking)?;
        let file = part.file.as_file();
        let new = file.metadata().map_err(|e| cannot_create(path, e))?;
        let same = (new.uid(), new.gid()) == (there.uid(), there.gid());
        if !same && fchown(file, Some(there.uid()), Some(there.gid())).is_err() {
            return Ok(None);
        }
        // Owners come first: who gives a file away loses some of its permissions.
        file.set_permissions(there.permissions()).map_err(|e| cannot_create(path, e))?;
        Ok(Some(part))
    }

    /// A new file beside `path`, with its permissions where it is there.
    fn create(path: PathBuf, locking: Locking) -> Result<Self> {
        let cannot = |e| cannot_create(&path, e);
        let name = path.file_name().ok_or_else(|| Error::invalid(format!("{} is not a file name", path.display())))?;
        let old = replaced(&path, locking)?;
        let prefix = format!(".{}.", name.to_string_lossy());
        let file = tempfile::Builder::new()
            .prefix(&prefix)
            .suffix(".part")
            .permissions(Permissions::from_mode(NEW_FILE_MODE))
            .tempfile_in(folder_of(&path))
            .map_err(cannot)?;
        if let Ok(metadata) = path.metadata() {
            file.as_file().set_permissions(metadata.permissions()).map_err(cannot)?;
        }
        let handle = file.as_file().try_clone().map_err(cannot)?;
        Ok(Self { file, target: Arc::new(FileTarget::new(handle)?), path, _replaced: old })
    }

    /// Gives the file its name.
    fn rename(self, durable: bool) -> Result<()> {
        let Self { file, path, .. } = self;
        file.persist(&path).map_err(|e| Error::io(format!("cannot rename to {}", path.display()), e.error))?;
        if durable { sync_folder(&path) } else { Ok(()) }
    }
}

/// The file at `path`, which is to be replaced, locked against those who write to it: what they write would be lost. Readers keep
/// the file that they have. Who may not read it, replaces it all the same.
fn replaced(path: &Path, locking: Locking) -> Result<Option<LockedFile>> {
    let Some(file) = (locking != Locking::Ignore).then(|| File::open(path).ok()).flatten() else {
        return Ok(None);
    };
    let mut file = LockedFile::from(file);
    // What fails is to write, whatever way that is kept from others.
    let refused = || Error::new(ErrorKind::Locked, "Failed to get \"write\" lock");
    file.lock(Locking::Read).map_err(|_| refused().context(format!("cannot replace {}", path.display())))?;
    Ok(Some(file))
}

/// Whether new files can be made in `folder`.
fn takes_files(folder: &Path) -> bool {
    access(folder, Access::WRITE_OK | Access::EXEC_OK).is_ok()
}

/// Whether something is mounted on the file at `path`, so that its name cannot be given to another.
fn is_mounted_on(path: &Path) -> bool {
    let asked = statx(CWD, path, AtFlags::empty(), StatxFlags::TYPE);
    asked.is_ok_and(|told| told.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}

/// What the operating system says of a file that cannot be made.
fn cannot_create(path: &Path, error: io::Error) -> Error {
    Error::io(format!("cannot create {}", path.display()), error)
}

/// The file that is open as `file`, opened again to be read.
fn read_again(file: BorrowedFd<'_>) -> Result<Arc<dyn Storage>> {
    let path = Path::new("/proc/self/fd").join(file.as_raw_fd().to_string());
    let file = File::open(path).map_err(|e| Error::io("cannot open what was written to read it", e))?;
    Ok(Arc::new(FileStorage::from_file(file)?))
}

/// The folder that `path` is in.
fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Puts the entry of `path` in its folder onto the medium.
fn sync_folder(path: &Path) -> Result<()> {
    let folder = folder_of(path);
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|e| Error::io(format!("cannot flush {}", folder.display()), e))
}

/// The file that `path` means in the end: links followed, also where the last one leads to nothing yet.
fn resolve_links(path: &Path) -> PathBuf {
    let mut path = path.to_path_buf();
    for _ in 0..MAX_LINKS {
        let Ok(next) = path.read_link() else { break };
        path = path.parent().unwrap_or(Path::new("")).join(next);
    }
    path
}

/// Permissions of a new file before the process's mask: read and write for all.
const NEW_FILE_MODE: u32 = 0o666;
/// Links followed at most, as Linux does.
const MAX_LINKS: usize = 40;

#[cfg(test)]
mod tests;
