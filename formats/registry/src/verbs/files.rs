//! Which file is which, whatever it is called, and what it takes.

use std::collections::BTreeSet;
use std::fs::{File, Metadata};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use imgfmt_core::{Error, Image, Result, Storage};

use super::open::Access;

/// A file or device on the host, the same whatever path leads to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum HostFile {
    /// A file, by file system and inode.
    File(u64, u64),
    /// A block device, by its number: several nodes may lead to it.
    Device(u64),
}

impl HostFile {
    /// The file that `metadata` is of.
    fn of(metadata: &Metadata) -> Self {
        if metadata.file_type().is_block_device() {
            Self::Device(metadata.rdev())
        } else {
            Self::File(metadata.dev(), metadata.ino())
        }
    }

    /// The file at `path`, if there is one.
    pub(crate) fn at(path: &Path) -> Option<Self> {
        path.metadata().ok().map(|metadata| Self::of(&metadata))
    }
}

/// Where a file that is made at `path` comes to be: links are followed, also to where nothing is yet.
pub(crate) fn place_of(path: &Path) -> Option<PathBuf> {
    let mut path = path.to_path_buf();
    for _ in 0..MAX_LINKS {
        let Ok(target) = path.read_link() else { break };
        path = path.parent().unwrap_or(Path::new("")).join(target);
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Some(folder.canonicalize().ok()?.join(path.file_name()?))
}

/// A file that an image consists of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageFile {
    /// Where it is: as it was called for the file that was opened, else where the system says.
    pub path: PathBuf,
    /// Its place among the image's [`sources`](Image::sources), where it is not the file that was opened.
    pub source: Option<usize>,
    /// Its length in bytes.
    pub len: u64,
    /// Bytes that it takes on the host, holes not counted; nothing where it is no file of this host.
    pub actual_size: Option<u64>,
    /// How it is reached, in one word, where it is no file of this host.
    pub protocol: Option<&'static str>,
}

/// Whether `file` is one of the files that hold the bytes of `image`.
pub(crate) fn is_part_of(file: HostFile, image: &dyn Image) -> Result<bool> {
    Ok(host_files(image)?.contains(&file))
}

/// The files that hold the bytes of `image`.
pub(crate) fn host_files(image: &dyn Image) -> Result<Vec<HostFile>> {
    let mut files = Vec::new();
    for storage in image.sources() {
        files.extend(metadata(storage.as_ref())?.map(|metadata| HostFile::of(&metadata)));
    }
    Ok(files)
}

/// The file at `path`, as the caller calls it, and the other files of the `image` that was opened there, each once.
pub(crate) fn image_files(path: &Path, image: &dyn Image, access: &Access<'_>) -> Result<Vec<ImageFile>> {
    let storage = image.sources().first();
    let (own, identity) = first_file(path, storage.map_or(0, |storage| storage.len()), access)?;
    let mut seen: BTreeSet<_> = identity.into_iter().collect();
    let mut files = vec![own];
    for (index, storage) in image.sources().iter().enumerate() {
        if let Some(other) = metadata(storage.as_ref())?
            && seen.insert(HostFile::of(&other))
        {
            files.push(image_file(path_of(storage.as_ref()).unwrap_or_default(), Some(index), &other));
        }
    }
    // The length of a device is not in its metadata; a storage that begins where its file does knows it.
    if let ([file], Some(HostFile::Device(_))) = (files.as_mut_slice(), identity) {
        file.len = storage.map_or(0, |storage| storage.len());
    }
    Ok(files)
}

/// The file at `path` alone, as the caller calls it, whatever it holds; `len` bytes, where it is no file of this host.
pub(crate) fn archive_file(path: &Path, len: u64, access: &Access<'_>) -> Result<Vec<ImageFile>> {
    Ok(vec![first_file(path, len, access)?.0])
}

/// The file at `path`, as the caller calls it, and which it is.
fn first_file(path: &Path, len: u64, access: &Access<'_>) -> Result<(ImageFile, Option<HostFile>)> {
    if let Some(remote) = access.remote(path)? {
        let protocol = Some(remote.protocol());
        return Ok((ImageFile { path: path.to_path_buf(), source: None, len, actual_size: None, protocol }, None));
    }
    let own = path.metadata().map_err(|e| Error::io(format!("cannot ask for the size of {}", path.display()), e))?;
    Ok((image_file(path.to_path_buf(), None, &own), Some(HostFile::of(&own))))
}

/// What is to be said about one file.
fn image_file(path: PathBuf, source: Option<usize>, metadata: &Metadata) -> ImageFile {
    let actual_size = Some(metadata.blocks().saturating_mul(BLOCK_LEN));
    ImageFile { path, source, len: metadata.len(), actual_size, protocol: None }
}

/// Where the file behind `storage` is, if there is one.
pub(crate) fn path_of(storage: &dyn Storage) -> Option<PathBuf> {
    let slice = storage.as_file()?;
    Path::new("/proc/self/fd").join(slice.fd.as_raw_fd().to_string()).read_link().ok()
}

/// What the operating system knows of the file behind `storage`, if there is one.
fn metadata(storage: &dyn Storage) -> Result<Option<Metadata>> {
    let Some(slice) = storage.as_file() else {
        return Ok(None);
    };
    let metadata = slice.fd.try_clone_to_owned().and_then(|fd| File::from(fd).metadata());
    metadata.map(Some).map_err(|e| Error::io("cannot ask for the type of an open file", e))
}

/// Links that are followed from one to the next, which is what Linux does (path_resolution(7)).
const MAX_LINKS: usize = 40;
/// Bytes of the blocks that the operating system counts.
const BLOCK_LEN: u64 = 512;
