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

use imgfmt_core::{Error, Limits, Replayed, Result, Storage, StorageExt, Target};
use uuid::Uuid;

use super::Pending;
use super::overlay::{Patch, Patches};
use crate::fields::checksum;
use crate::header::{Chosen, Header};
use crate::image::VhdxImage;
use crate::layout::{
    CHECKSUM_AT, FILE_WRITE_GUID_AT, HEADER_LEN, HEADERS_AT, LOG_GUID_AT, REGION_TABLES_AT, SEQUENCE_NUMBER_AT,
};

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
    let mut headers = Headers::new(storage.as_ref(), &chosen)?;
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

/// The headers, as one after the other is replaced.
struct Headers {
    /// The next one to write, but for its number and checksum.
    bytes: [u8; HEADER_LEN],
    /// The number of the one that counts.
    sequence_number: u64,
    /// Which of the two places is written next.
    next: usize,
}

impl Headers {
    /// The header of `storage` that was chosen, with a new identifier of the file.
    ///
    /// # Errors
    ///
    /// [`Malformed`](imgfmt_core::ErrorKind::Malformed) where no greater numbers are left.
    fn new(storage: &dyn Storage, chosen: &Chosen) -> Result<Self> {
        let current = chosen.number - 1;
        let sequence_number = chosen.header.sequence_number;
        if sequence_number > u64::MAX - UPDATES {
            let what = format!("is {sequence_number}, and a newer header has to have a greater number");
            return Err(Error::malformed(what)
                .field("SequenceNumber")
                .at(HEADERS_AT[current] + SEQUENCE_NUMBER_AT as u64));
        }
        let mut bytes: [u8; HEADER_LEN] = storage.read_array(HEADERS_AT[current])?;
        bytes[FILE_WRITE_GUID_AT..][..GUID_LEN].copy_from_slice(&Uuid::new_v4().to_bytes_le());
        Ok(Self { bytes, sequence_number, next: 1 - current })
    }

    /// Names no log from now on.
    fn forget_log(&mut self) {
        self.bytes[LOG_GUID_AT..][..GUID_LEN].fill(0);
    }

    /// Writes the header over the one that does not count, and makes it count.
    fn update(&mut self, target: &dyn Target) -> Result<()> {
        self.sequence_number += 1;
        self.bytes[SEQUENCE_NUMBER_AT..][..8].copy_from_slice(&self.sequence_number.to_le_bytes());
        let sum = checksum(&self.bytes);
        self.bytes[CHECKSUM_AT..][..4].copy_from_slice(&sum.to_le_bytes());
        target.write_at(&self.bytes, HEADERS_AT[self.next])?;
        self.next = 1 - self.next;
        target.sync()
    }
}

/// How often a header is written.
const UPDATES: u64 = 3;
/// Bytes of an identifier.
const GUID_LEN: usize = 16;
