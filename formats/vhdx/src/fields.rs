//! Fields of structures, and the checksum over them. Callers keep the positions within the bytes.

use byteorder::{ByteOrder, LittleEndian};
use imgfmt_core::{Error, Result};
use uuid::Uuid;

use crate::layout::{ALIGN, CHECKSUM_AT};

/// The 16-bit number at `at`.
pub(crate) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    LittleEndian::read_u16(&bytes[at..at + 2])
}

/// The 32-bit number at `at`.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    LittleEndian::read_u32(&bytes[at..at + 4])
}

/// The 64-bit number at `at`.
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    LittleEndian::read_u64(&bytes[at..at + 8])
}

/// The GUID at `at`: its first three fields are little-endian.
pub(crate) fn guid_at(bytes: &[u8], at: usize) -> Uuid {
    let mut guid = [0; 16];
    guid.copy_from_slice(&bytes[at..at + 16]);
    Uuid::from_bytes_le(guid)
}

/// UTF-16 up to the first zero, or to the end; what is not Unicode shows as U+FFFD.
pub(crate) fn utf16(bytes: &[u8]) -> String {
    let units: Vec<u16> = bytes.chunks_exact(2).map(LittleEndian::read_u16).take_while(|&unit| unit != 0).collect();
    String::from_utf16_lossy(&units)
}

/// CRC-32C of a structure whose own checksum counts as 0.
pub(crate) fn checksum(bytes: &[u8]) -> u32 {
    let crc = crc32c::crc32c(&bytes[..CHECKSUM_AT]);
    crc32c::crc32c_append(crc32c::crc32c_append(crc, &[0; 4]), &bytes[CHECKSUM_AT + 4..])
}

/// Writes a field.
pub(crate) fn put(bytes: &mut [u8], at: usize, field: &[u8]) {
    bytes[at..at + field.len()].copy_from_slice(field);
}

/// Writes the checksum of a structure.
pub(crate) fn seal(bytes: &mut [u8]) {
    let sum = checksum(bytes);
    put(bytes, CHECKSUM_AT, &sum.to_le_bytes());
}

/// Checks signature and checksum of a structure that is at host byte `host`.
///
/// # Errors
///
/// [`Malformed`](imgfmt_core::ErrorKind::Malformed) where one of them is wrong.
pub(crate) fn check_frame(bytes: &[u8], signature: [u8; 4], host: u64) -> Result<()> {
    if !bytes.starts_with(&signature) {
        let (found, wanted) = (bytes[..4].escape_ascii(), signature.escape_ascii());
        return Err(Error::malformed(format!("is \"{found}\", not \"{wanted}\"")).field("Signature").at(host));
    }
    let (stored, computed) = (u32_at(bytes, CHECKSUM_AT), checksum(bytes));
    if stored != computed {
        let what = format!("is {stored:#010x}, but the bytes have {computed:#010x}");
        return Err(Error::malformed(what).field("Checksum").at(host + CHECKSUM_AT as u64));
    }
    Ok(())
}

/// Checks that a region, or the log, is at whole MiB and not within the header section.
///
/// # Errors
///
/// [`Malformed`](imgfmt_core::ErrorKind::Malformed) where it is not.
pub(crate) fn check_place(offset: u64, len: u64) -> Result<()> {
    if offset < ALIGN || !offset.is_multiple_of(ALIGN) {
        return Err(Error::malformed(format!("is {offset}, not a multiple of 1 MiB behind the headers")));
    }
    if !len.is_multiple_of(ALIGN) || offset.checked_add(len).is_none() {
        return Err(Error::malformed(format!("is {offset}, and the length is {len}, not whole MiB of a file")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_does_not_see_itself() {
        let mut bytes = *b"head\x01\x02\x03\x04 and what follows";
        let sum = checksum(&bytes);
        bytes[CHECKSUM_AT..CHECKSUM_AT + 4].copy_from_slice(&sum.to_le_bytes());
        assert_eq!(checksum(&bytes), sum);
        assert!(check_frame(&bytes, *b"head", 0).is_ok());
        assert!(check_frame(&bytes, *b"regi", 0).is_err());
        bytes[9] ^= 1;
        assert_eq!(check_frame(&bytes, *b"head", 64).unwrap_err().offset(), Some(68));
    }

    #[test]
    fn places_are_whole_mebibytes_behind_the_headers() {
        assert!(check_place(1 << 20, 0).is_ok());
        for (offset, len) in [(0, 1 << 20), (3 << 19, 1 << 20), (1 << 20, 5), (u64::MAX << 20, 2 << 20)] {
            assert!(check_place(offset, len).is_err(), "{offset} {len}");
        }
    }

    #[test]
    fn names_end_at_a_zero() {
        assert_eq!(utf16(b"d\x002\0v\0\0\0x\0"), "d2v");
        assert_eq!(utf16(b"\x00\xd8"), "\u{fffd}");
    }
}
