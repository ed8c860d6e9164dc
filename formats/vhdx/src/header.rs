//! The two headers, of which one counts.

use std::ops::Range;

use imgfmt_core::{Error, Result, Storage, StorageExt};
use uuid::Uuid;

use crate::fields::{check_frame, check_place, guid_at, u16_at, u32_at, u64_at, utf16};
use crate::layout::{
    CREATOR_AT, CREATOR_LEN, DATA_WRITE_GUID_AT, FILE_SIGNATURE, FILE_WRITE_GUID_AT, HEADER_LEN, HEADER_SIGNATURE,
    HEADERS_AT, LOG_GUID_AT, LOG_LENGTH_AT, LOG_OFFSET_AT, LOG_VERSION, LOG_VERSION_AT, SEQUENCE_NUMBER_AT, VERSION,
    VERSION_AT,
};

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// Which of two valid headers is newer.
    pub(crate) sequence_number: u64,
    /// Changes when the file does.
    pub(crate) file_write_guid: Uuid,
    /// Changes when the guest's data does.
    pub(crate) data_write_guid: Uuid,
    /// Which log entries count; none where it is nil.
    pub(crate) log_guid: Uuid,
    /// Host byte of the log.
    pub(crate) log_offset: u64,
    /// Bytes of the log.
    pub(crate) log_len: u32,
}

/// The header that counts.
#[derive(Clone, Debug)]
pub(crate) struct Chosen {
    /// What it says.
    pub(crate) header: Header,
    /// Which one it is: 1 or 2.
    pub(crate) number: usize,
    /// What is wrong with the other one, if anything is.
    pub(crate) other_fault: Option<String>,
}

impl Header {
    /// Parses the header that is at host byte `host`.
    ///
    /// # Errors
    ///
    /// [`Malformed`](imgfmt_core::ErrorKind::Malformed) where a rule is broken,
    /// [`Unsupported`](imgfmt_core::ErrorKind::Unsupported) for another version.
    pub(crate) fn parse(bytes: &[u8; HEADER_LEN], host: u64) -> Result<Self> {
        check_frame(bytes, HEADER_SIGNATURE, host)?;
        check_version("Version", u16_at(bytes, VERSION_AT), VERSION, host + VERSION_AT as u64)?;
        let header = Self {
            sequence_number: u64_at(bytes, SEQUENCE_NUMBER_AT),
            file_write_guid: guid_at(bytes, FILE_WRITE_GUID_AT),
            data_write_guid: guid_at(bytes, DATA_WRITE_GUID_AT),
            log_guid: guid_at(bytes, LOG_GUID_AT),
            log_offset: u64_at(bytes, LOG_OFFSET_AT),
            log_len: u32_at(bytes, LOG_LENGTH_AT),
        };
        if header.has_log() {
            check_version("LogVersion", u16_at(bytes, LOG_VERSION_AT), LOG_VERSION, host + LOG_VERSION_AT as u64)?;
        }
        // Where there is no log, its place means nothing.
        if !header.has_log() && header.log_len == 0 {
            return Ok(Self { log_offset: 0, ..header });
        }
        check_place(header.log_offset, u64::from(header.log_len))
            .map_err(|e| e.field("LogOffset").at(host + LOG_OFFSET_AT as u64))?;
        Ok(header)
    }

    /// Reads both headers, and chooses the newer one of those that are right.
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse) where neither is right, or where two that differ are equally new;
    /// [`OutOfBounds`](imgfmt_core::ErrorKind::OutOfBounds) where the file is too short.
    pub(crate) fn read(storage: &dyn Storage) -> Result<Chosen> {
        let read = |host: u64| Self::parse(&storage.read_array(host)?, host);
        match HEADERS_AT.map(read) {
            [Ok(first), Ok(second)] => Self::newer(first, second),
            [Ok(header), Err(other)] => Ok(Chosen { header, number: 1, other_fault: Some(other.to_string()) }),
            [Err(other), Ok(header)] => Ok(Chosen { header, number: 2, other_fault: Some(other.to_string()) }),
            [Err(first), Err(_)] => Err(first),
        }
    }

    /// Chooses between two headers that are both right. Equal numbers are no rule of the specification, but some
    /// programs write the same header twice.
    fn newer(first: Self, second: Self) -> Result<Chosen> {
        if first.sequence_number == second.sequence_number && first != second {
            let what = format!("is {} in both headers, and they differ", first.sequence_number);
            return Err(Error::malformed(what).field("SequenceNumber").at(HEADERS_AT[1] + SEQUENCE_NUMBER_AT as u64));
        }
        let (header, number) = if second.sequence_number > first.sequence_number { (second, 2) } else { (first, 1) };
        Ok(Chosen { header, number, other_fault: None })
    }

    /// Host bytes of the log.
    pub(crate) fn log(&self) -> Range<u64> {
        self.log_offset..self.log_offset + u64::from(self.log_len)
    }

    /// Whether there is a log to replay.
    pub(crate) fn has_log(&self) -> bool {
        !self.log_guid.is_nil()
    }
}

/// Checks the file type identifier, and returns the name of the program that made the file.
///
/// # Errors
///
/// [`Malformed`](imgfmt_core::ErrorKind::Malformed) for another signature,
/// [`OutOfBounds`](imgfmt_core::ErrorKind::OutOfBounds) where the file is too short.
pub(crate) fn read_creator(storage: &dyn Storage) -> Result<String> {
    let bytes: [u8; CREATOR_AT + CREATOR_LEN] = storage.read_array(0)?;
    if !bytes.starts_with(&FILE_SIGNATURE) {
        let what = format!("is \"{}\", not \"vhdxfile\"", bytes[..CREATOR_AT].escape_ascii());
        return Err(Error::malformed(what).field("Signature").at(0));
    }
    Ok(utf16(&bytes[CREATOR_AT..]))
}

/// Checks a version that is at host byte `host`.
fn check_version(field: &'static str, found: u16, known: u16, host: u64) -> Result<()> {
    if found == known {
        return Ok(());
    }
    Err(Error::unsupported(format!("is {found}, and only {known} is known")).field(field).at(host))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::checksum;
    use crate::layout::CHECKSUM_AT;
    use imgfmt_core::{ErrorKind, MemoryStorage};

    /// A header with this number and log.
    fn header(sequence: u64, version: u16, log: u8) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        bytes[..4].copy_from_slice(&HEADER_SIGNATURE);
        bytes[SEQUENCE_NUMBER_AT..SEQUENCE_NUMBER_AT + 8].copy_from_slice(&sequence.to_le_bytes());
        bytes[LOG_GUID_AT] = log;
        bytes[VERSION_AT..VERSION_AT + 2].copy_from_slice(&version.to_le_bytes());
        bytes[LOG_OFFSET_AT..LOG_OFFSET_AT + 8].copy_from_slice(&(1u64 << 20).to_le_bytes());
        let sum = checksum(&bytes);
        bytes[CHECKSUM_AT..CHECKSUM_AT + 4].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// What is chosen of two headers.
    fn choose(first: &[u8], second: &[u8]) -> Result<Chosen> {
        let mut file = vec![0; 192 << 10];
        file[65_536..65_536 + first.len()].copy_from_slice(first);
        file[131_072..131_072 + second.len()].copy_from_slice(second);
        Header::read(&MemoryStorage::new(file))
    }

    #[test]
    fn the_newer_right_header_counts() {
        assert_eq!(choose(&header(3, 1, 0), &header(4, 1, 0)).unwrap().number, 2);
        assert_eq!(choose(&header(5, 1, 0), &header(4, 1, 0)).unwrap().number, 1);
        let one = choose(&header(3, 1, 0), &[7; 4096]).unwrap();
        assert!(one.number == 1 && one.other_fault.is_some());
        assert_eq!(choose(&[], &header(1, 1, 0)).unwrap().number, 2);
        assert_eq!(choose(&[], &[]).unwrap_err().kind(), ErrorKind::Malformed);
    }

    #[test]
    fn equal_numbers_are_taken_where_nothing_differs() {
        assert_eq!(choose(&header(1, 1, 0), &header(1, 1, 0)).unwrap().number, 1);
        let error = choose(&header(1, 1, 0), &header(1, 1, 9)).unwrap_err();
        assert_eq!((error.kind(), error.field_name()), (ErrorKind::Malformed, Some("SequenceNumber")));
    }

    #[test]
    fn another_version_is_unsupported() {
        assert_eq!(choose(&header(1, 2, 0), &header(2, 2, 0)).unwrap_err().kind(), ErrorKind::Unsupported);
    }
}
