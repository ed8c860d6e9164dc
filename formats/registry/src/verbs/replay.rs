//! Putting what an image's log holds into its place.

use std::path::Path;
use std::sync::Arc;

use imgfmt_core::{Error, Format, OpenContext, Replay, Replayed, Result, Storage, probe};

use super::open::Access;
use crate::FORMATS;

/// Replays the log of the image at `path`, in the file itself. `None` where there is nothing to replay: then nothing is
/// written. Without a `format`, the file is probed; it is taken as it is, so nothing is unwrapped, and nothing else is
/// opened.
///
/// The file is locked as QEMU locks it, so that no machine uses it meanwhile.
///
/// # Errors
///
/// [`Invalid`](imgfmt_core::ErrorKind::Invalid) for a format whose images have no log,
/// [`Locked`](imgfmt_core::ErrorKind::Locked) where another program uses the file, what the operating system says where
/// it cannot be opened for writing, and as [`Replay::replay`].
pub fn replay(path: &Path, format: Option<&str>, access: &Access<'_>) -> Result<Option<Replayed>> {
    let opener = access.opener();
    let said = format.map(|name| opener.by_name(name)).transpose()?.map(named).transpose()?;
    let replay = || {
        let medium = access.medium(path)?;
        let storage: Arc<dyn Storage> = Arc::clone(&medium) as Arc<dyn Storage>;
        let format = match said {
            Some(format) => format,
            None => probed(&storage)?,
        };
        format.replay(storage, medium.as_ref(), &OpenContext { path: access.place(path), ..opener.context })
    };
    replay().map_err(|e| e.context(format!("cannot replay {}", path.display())))
}

/// The format that claims the file.
fn probed(storage: &Arc<dyn Storage>) -> Result<&'static dyn Replay> {
    let found = probe::detect(FORMATS, storage)?;
    named(found.ok_or_else(|| Error::unsupported("no format claims this file"))?)
}

/// The format, as one whose images have a log.
fn named(format: &dyn Format) -> Result<&'static dyn Replay> {
    format
        .abilities()
        .replay
        .ok_or_else(|| Error::invalid(format!("the format {} has no log to replay", format.name())))
}
