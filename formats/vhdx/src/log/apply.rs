//! Putting what the log holds into its place in the file.
//!
//! | Step | What is written | A power cut before its flush leaves |
//! |-----:|-----------------|-------------------------------------|
//! | 1 | the header that does not count: a new `FileWriteGuid`, the same log | the old header, and its log |
//! | 2 | the file's length, all sectors and zeros of the log | the log, which is replayed again |
//! | 3 | the header that does not count now: no log | the header of step 1, and its log |
//! | 4 | the other header: no log | the header of step 3 |
//!
//! Each step ends with a flush. Step 1 is § 2.2.2: the file's identifier changes before anything else does, log playback
//! named. `DataWriteGuid` stays, as § 2.2.2.1 has it: what the guest sees is what it was with the log, and children go on
//! to know their parent. Step 4 is the second update of § 2.2.2.1, so that both headers are of use.

use std::sync::Arc;

use imgfmt_core::{Error, Limits, Replayed, Result, Storage, Target};

use super::Pending;
use super::overlay::{Patch, Patches};
use crate::header::Header;
use crate::headers::Headers;
use crate::image::VhdxImage;
use crate::layout::REGION_TABLES_AT;

/// Replays the log of the file that `storage` and `target` are. `None` where there is none.
///
/// # Errors
///
/// As [`Replay::replay`](imgfmt_core::Replay::replay).
pub(crate) fn apply(storage: &Arc<dyn Storage>, target: &dyn Target, limits: &Limits) -> Result<Option<Replayed>> {
    VhdxImage::open(Arc::clone(storage), limits)?;
    let chosen = Header::read(storage.as_ref())?;
    let Some(pending) = Pending::read(storage.as_ref(), &chosen.header, limits)? else {
        return Ok(None);
    };
    check_reach(&pending.patches, &chosen.header)?;
    let mut headers = Headers::new(storage.as_ref(), &chosen, UPDATES)?;
    headers.update(target)?;
    let done = write(&pending, storage.len(), target)?;
    target.sync()?;
    headers.forget_log();
    headers.update(target)?;
    headers.update(target)?;
    Ok(Some(done))
}

/// Refuses a log that changes what it is found by, or itself: then it could not be replayed twice.
fn check_reach(patches: &Patches, header: &Header) -> Result<()> {
    let log_end = header.log_offset + u64::from(header.log_len);
    for (what, start, end) in [("headers", 0, REGION_TABLES_AT[0]), ("log", header.log_offset, log_end)] {
        if let Some((at, _)) = patches.within(start, end).next() {
            let what = format!("asks for a change at byte {at}, where the {what} would be lost before the log is done");
            return Err(Error::malformed(what).field("FileOffset").at(header.log_offset));
        }
    }
    Ok(())
}

/// Writes what the log holds into a file of `len` bytes.
fn write(pending: &Pending, len: u64, target: &dyn Target) -> Result<Replayed> {
    let new_len = pending.patches.file_len(len.max(pending.last));
    if new_len > len {
        target.set_len(new_len)?;
    }
    let mut done = Replayed::default();
    for (at, patch) in pending.patches.iter() {
        // What the file grows by reads as zeros already.
        let end = match patch {
            Patch::Sector(_) => at + patch.len(),
            Patch::Zero(zeros) => (at + zeros).min(len),
        };
        if end <= at {
            continue;
        }
        match patch {
            Patch::Sector(bytes) => target.write_at(bytes, at)?,
            Patch::Zero(_) => target.clear(at..end)?,
        }
        done.writes += 1;
        done.bytes += end - at;
    }
    Ok(done)
}

/// How often a header is written.
const UPDATES: u64 = 3;
