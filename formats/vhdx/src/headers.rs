//! Replacing the headers, one after the other: § 2.2.2. The one that counts is never written over.

use imgfmt_core::{Error, Result, Storage, StorageExt, Target};
use uuid::Uuid;

use crate::fields::{put, seal};
use crate::header::Chosen;
use crate::layout::{
    DATA_WRITE_GUID_AT, FILE_WRITE_GUID_AT, HEADER_LEN, HEADERS_AT, LOG_GUID_AT, LOG_VERSION, LOG_VERSION_AT,
    SEQUENCE_NUMBER_AT,
};

/// The headers, as one after the other is replaced.
#[derive(Debug)]
pub(crate) struct Headers {
    /// The next one to write, but for its number and checksum.
    bytes: [u8; HEADER_LEN],
    /// The number of the one that counts.
    sequence_number: u64,
    /// Which of the two places is written next.
    next: usize,
}

impl Headers {
    /// The header of `storage` that was chosen, with a new identifier of the file; to be written `updates` times at least.
    ///
    /// # Errors
    ///
    /// [`Malformed`](imgfmt_core::ErrorKind::Malformed) where no greater numbers are left.
    pub(crate) fn new(storage: &dyn Storage, chosen: &Chosen, updates: u64) -> Result<Self> {
        let current = chosen.number - 1;
        let sequence_number = chosen.header.sequence_number;
        if sequence_number > u64::MAX - updates {
            return Err(no_greater(sequence_number, current));
        }
        let mut bytes: [u8; HEADER_LEN] = storage.read_array(HEADERS_AT[current])?;
        put(&mut bytes, FILE_WRITE_GUID_AT, &Uuid::new_v4().to_bytes_le());
        Ok(Self { bytes, sequence_number, next: 1 - current })
    }

    /// Says from now on that the guest's data is not what it was.
    pub(crate) fn change_data(&mut self) {
        put(&mut self.bytes, DATA_WRITE_GUID_AT, &Uuid::new_v4().to_bytes_le());
    }

    /// Names a log from now on.
    pub(crate) fn name_log(&mut self, guid: Uuid) {
        put(&mut self.bytes, LOG_VERSION_AT, &LOG_VERSION.to_le_bytes());
        put(&mut self.bytes, LOG_GUID_AT, &guid.to_bytes_le());
    }

    /// Names no log from now on.
    pub(crate) fn forget_log(&mut self) {
        put(&mut self.bytes, LOG_GUID_AT, &Uuid::nil().to_bytes_le());
    }

    /// Writes the header over the one that does not count, and makes it count.
    ///
    /// # Errors
    ///
    /// [`Io`](imgfmt_core::ErrorKind::Io) from the target, [`Malformed`](imgfmt_core::ErrorKind::Malformed) where there is no
    /// greater number.
    pub(crate) fn update(&mut self, target: &dyn Target) -> Result<()> {
        let number = self.sequence_number.checked_add(1);
        self.sequence_number = number.ok_or_else(|| no_greater(self.sequence_number, 1 - self.next))?;
        put(&mut self.bytes, SEQUENCE_NUMBER_AT, &self.sequence_number.to_le_bytes());
        seal(&mut self.bytes);
        target.write_at(&self.bytes, HEADERS_AT[self.next])?;
        self.next = 1 - self.next;
        target.sync()
    }
}

/// The error for a number that nothing can follow, in header `current`.
fn no_greater(sequence_number: u64, current: usize) -> Error {
    let what = format!("is {sequence_number}, and a newer header has to have a greater number");
    Error::malformed(what).field("SequenceNumber").at(HEADERS_AT[current] + SEQUENCE_NUMBER_AT as u64)
}
