//! Opening: the header, and what lies behind it.

use std::sync::Arc;

use imgfmt_core::fields::Place;
use imgfmt_core::{OpenContext, Result, Storage, StorageExt};
use imgfmt_crypt::{HEADER_LEN, LuksHeader, MAGIC, PAYLOAD_OFFSET_AT, SECTOR_LEN, VERSION_AT};

use crate::options;
use crate::read::LuksImage;

/// Opens the container in `storage`.
///
/// # Errors
///
/// As [`read_header`]; [`Refused`](imgfmt_core::ErrorKind::Refused) without the right secret, unless the container is only
/// described.
pub(crate) fn open(storage: Arc<dyn Storage>, context: &OpenContext<'_>) -> Result<LuksImage> {
    context.without_snapshots()?;
    let header = read_header(storage.as_ref())?;
    let read = |buf: &mut [u8], at| storage.read_at(buf, at);
    let cipher = options::secret(context)?.map(|secret| header.unlock(secret, &read)).transpose()?;
    Ok(LuksImage::new(storage, header, cipher.map(Arc::from)))
}

/// Reads the header of the container in `storage`.
///
/// # Errors
///
/// As [`LuksHeader::parse`]; [`Unsupported`](imgfmt_core::ErrorKind::Unsupported) for LUKS 2 and for a header without a disk,
/// [`OutOfBounds`](imgfmt_core::ErrorKind::OutOfBounds) where the disk begins beyond the end of the file.
pub(crate) fn read_header(storage: &dyn Storage) -> Result<LuksHeader> {
    let mut bytes = vec![0; HEADER_LEN];
    let there = storage.read_padded(&mut bytes, 0)?;
    if bytes.starts_with(&MAGIC) && bytes[VERSION_AT..VERSION_AT + 2] == LUKS2 {
        return Err(Place::in_header("version", VERSION_AT).unsupported("is 2: such containers are not read here"));
    }
    let header = LuksHeader::parse(&bytes[..there], 0, storage.len())?;
    let place = Place::in_header("payload-offset", PAYLOAD_OFFSET_AT);
    if header.payload_offset == 0 {
        return Err(place.unsupported("is 0: the disk is in another file than its header"));
    }
    if header.payload_offset < HEADER_LEN as u64 {
        return Err(place.malformed(format!("is byte {}, within the header", header.payload_offset)));
    }
    if header.payload_offset > storage.len() {
        let what = format!("is byte {}, but the file has {} bytes", header.payload_offset, storage.len());
        return Err(place.tell(imgfmt_core::Error::out_of_bounds(what)));
    }
    header.check_slots(0, header.payload_offset)?;
    Ok(header)
}

/// Guest bytes of a disk that begins at `payload_offset` of a file of `len` bytes: whole sectors.
pub(crate) fn size_of(payload_offset: u64, len: u64) -> u64 {
    let there = len.saturating_sub(payload_offset);
    there - there % SECTOR_LEN as u64
}

/// The version of LUKS 2, as it is stored. "LUKS2 On-Disk Format Specification" 1.1.1, section 2.1.
const LUKS2: [u8; 2] = [0, 2];
