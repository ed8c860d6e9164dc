//! Which file is which, whatever it is called.

use std::collections::BTreeSet;
use std::fs::{File, Metadata};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use imgfmt_core::{Error, Image, Result, Storage};

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

/// The files that hold the bytes of `image`.
pub(crate) fn files_of(image: &dyn Image) -> Result<BTreeSet<HostFile>> {
    let files = image.sources().iter().map(|storage| metadata(storage.as_ref()));
    files.filter_map(|found| found.map(|found| found.as_ref().map(HostFile::of)).transpose()).collect()
}

/// Bytes that the file at `path` and the files of `image` take on the host, each counted once.
pub(crate) fn actual_size(path: &Path, image: &dyn Image) -> Result<u64> {
    let own = path.metadata().map_err(|e| Error::io(format!("cannot ask for the size of {}", path.display()), e))?;
    let mut seen = BTreeSet::from([HostFile::of(&own)]);
    let mut blocks = own.blocks();
    for storage in image.sources() {
        let other = metadata(storage.as_ref())?.filter(|other| seen.insert(HostFile::of(other)));
        blocks = blocks.saturating_add(other.map_or(0, |other| other.blocks()));
    }
    Ok(blocks.saturating_mul(BLOCK_LEN))
}

/// What the operating system knows of the file behind `storage`, if there is one.
fn metadata(storage: &dyn Storage) -> Result<Option<Metadata>> {
    let Some(slice) = storage.as_file() else {
        return Ok(None);
    };
    let metadata = slice.fd.try_clone_to_owned().and_then(|fd| File::from(fd).metadata());
    metadata.map(Some).map_err(|e| Error::io("cannot ask for the type of an open file", e))
}

/// Bytes of the blocks that the operating system counts.
const BLOCK_LEN: u64 = 512;
