//! The page cache and the memory behind it, brought into the same state before every run.

use std::fs::{File, metadata, remove_file};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;

use crate::disk::RAW;
use crate::error::{Error, io};

/// Bytes read or written at once.
const STEP: usize = 1 << 20;
/// Bytes in one of the blocks that `stat` counts.
const SECTOR: u64 = 512;

/// Reads the data of a file, and not its holes, so that no run has to fetch it from the disk.
pub(crate) fn warm(path: &Path) -> Result<(), Error> {
    let file = File::open(path).map_err(io(format!("cannot open {}", path.display())))?;
    let context = || io(format!("cannot read {}", path.display()));
    let mut buffer = vec![0; STEP];
    let mut at = 0;
    while let Some((start, end)) = next_data(&file, at).map_err(|error| context()(error.into()))? {
        at = start;
        while at < end {
            let len = file.read_at(&mut buffer, at).map_err(context())?;
            at = if len == 0 { end } else { at + len as u64 };
        }
    }
    Ok(())
}

/// The first run of data at or after `at`.
fn next_data(file: &File, at: u64) -> Result<Option<(u64, u64)>, Errno> {
    match seek(file, SeekFrom::Data(at)) {
        Ok(start) => Ok(Some((start, seek(file, SeekFrom::Hole(start))?))),
        Err(Errno::NXIO) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Makes as many free pages ready for use as the disk has data: an output that is written to memory needs no more.
///
/// A virtual machine may have handed its free pages back to its host, and whoever touches one first waits for the host.
/// That can be most of the time of a run, and it is nobody's merit. A scratch file touches them, and frees them again.
pub(crate) fn ready_pages(folder: &Path) -> Result<(), Error> {
    let facts = metadata(folder.join(RAW)).map_err(io("cannot measure the disk"))?;
    let scratch = folder.join("scratch");
    let written = fill(&scratch, facts.blocks() * SECTOR);
    remove_file(&scratch).and(written).map_err(io(format!("cannot write {}", scratch.display())))
}

/// Writes a file of at least `len` bytes.
fn fill(path: &Path, len: u64) -> io::Result<()> {
    let mut file = File::create(path)?;
    let block = vec![0xa5; STEP];
    (0..len.div_ceil(STEP as u64)).try_for_each(|_| file.write_all(&block))
}
