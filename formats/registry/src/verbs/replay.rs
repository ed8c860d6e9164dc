//! Putting what an image's log holds into its place.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use imgfmt_core::{Error, FileStorage, FileTarget, Format, OpenContext, Replay, Replayed, Result, Storage, probe};
use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;

use super::open::Access;
use crate::{FORMATS, REPLAYS};

/// Replays the log of the image at `path`, in the file itself. `None` where there is nothing to replay: then nothing is
/// written. Without a `format`, the file is probed; it is taken as it is, so nothing is unwrapped, and nothing else is
/// opened.
///
/// The file is locked against others who do the same, with `flock`; nothing keeps a machine from using it meanwhile.
///
/// # Errors
///
/// [`Invalid`](imgfmt_core::ErrorKind::Invalid) for a format whose images have no log,
/// [`Refused`](imgfmt_core::ErrorKind::Refused) where somebody has locked the file, what the operating system says where
/// it cannot be opened for writing, and as [`Replay::replay`].
pub fn replay(path: &Path, format: Option<&str>, access: &Access<'_>) -> Result<Option<Replayed>> {
    let opener = access.opener();
    let said = format.map(|name| opener.by_name(name)).transpose()?.map(named).transpose()?;
    let replay = || {
        let file = open(path)?;
        let target = FileTarget::new(file.try_clone().map_err(|e| Error::io("cannot open it a second time", e))?)?;
        let storage: Arc<dyn Storage> = Arc::new(FileStorage::from_file(file)?);
        let format = match said {
            Some(format) => format,
            None => probed(&storage)?,
        };
        format.replay(storage, &target, &OpenContext { path: Some(path), ..opener.context })
    };
    replay().map_err(|e| e.context(format!("cannot replay {}", path.display())))
}

/// The file at `path`, for reading and writing, and locked.
fn open(path: &Path) -> Result<File> {
    // A pipe is refused by whoever reads it, and not waited for.
    let flags = i32::try_from((OFlags::NONBLOCK | OFlags::NOCTTY).bits()).unwrap_or(0);
    let file = OpenOptions::new().read(true).write(true).custom_flags(flags).open(path);
    let file = file.map_err(|e| Error::io("it cannot be opened for writing", e))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(Errno::WOULDBLOCK) => Err(Error::refused("somebody else has locked it")),
        Err(error) => Err(Error::io("it cannot be locked", error.into())),
    }
}

/// The format that claims the file.
fn probed(storage: &Arc<dyn Storage>) -> Result<&'static dyn Replay> {
    let found = probe::detect(FORMATS, storage)?;
    named(found.ok_or_else(|| Error::unsupported("no format claims this file"))?)
}

/// The format, as one whose images have a log.
fn named(format: &dyn Format) -> Result<&'static dyn Replay> {
    let found = REPLAYS.iter().copied().find(|replay| replay.name() == format.name());
    found.ok_or_else(|| Error::invalid(format!("the format {} has no log to replay", format.name())))
}
