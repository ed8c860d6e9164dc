//! The header as it lies in a file, to be changed: what nothing here knows stays as it is.

use imgfmt_core::{Medium, Result, Storage};

use crate::header::Header;
use crate::layout::{
    ALLOCATED_AT, BLOCKS_AT, DATA_OFFSET_AT, DISK_SIZE_AT, FULL_HEAD_LEN, GEOMETRY_AT, HEAD_LEN, HEADER_LEN_AT,
    LCHS_AT, MAP_OFFSET_AT, UUID_MODIFY_AT, put,
};

/// The bytes of a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RawHeader {
    /// The bytes.
    bytes: [u8; FULL_HEAD_LEN],
    /// As many of them as the header has, as far as they are known.
    len: usize,
}

impl RawHeader {
    /// Reads the header of an image, which is `header`.
    pub(crate) fn read(storage: &dyn Storage, header: &Header) -> Result<Self> {
        let end = HEADER_LEN_AT.saturating_add(usize::try_from(header.header_len).unwrap_or(usize::MAX));
        let len = if end < FULL_HEAD_LEN { HEAD_LEN } else { FULL_HEAD_LEN };
        let mut bytes = [0; FULL_HEAD_LEN];
        storage.read_at(&mut bytes[..len], 0)?;
        Ok(Self { bytes, len })
    }

    /// Makes it say what `header` says of places, sizes and counts. No geometry holds for a disk of another size.
    pub(crate) fn set(&mut self, header: &Header) {
        let size = header.disk_size.to_le_bytes();
        if self.bytes[DISK_SIZE_AT..DISK_SIZE_AT + size.len()] != size {
            put(&mut self.bytes, GEOMETRY_AT, &[0; 12]);
            put(&mut self.bytes, LCHS_AT, &[0; 12]);
        }
        // Both offsets have passed a check, or were read from here.
        let narrow = |offset: u64| u32::try_from(offset).unwrap_or(u32::MAX).to_le_bytes();
        put(&mut self.bytes, MAP_OFFSET_AT, &narrow(header.map_offset));
        put(&mut self.bytes, DATA_OFFSET_AT, &narrow(header.data_offset));
        put(&mut self.bytes, DISK_SIZE_AT, &size);
        put(&mut self.bytes, BLOCKS_AT, &header.blocks.to_le_bytes());
        put(&mut self.bytes, ALLOCATED_AT, &header.allocated.to_le_bytes());
        put(&mut self.bytes, UUID_MODIFY_AT, &header.modify.to_bytes_le());
    }

    /// Writes what can have changed, in one write of one sector: all of it is there after a cut, or nothing.
    pub(crate) fn write(&self, medium: &dyn Medium) -> Result<()> {
        medium.write_at(&self.bytes[MAP_OFFSET_AT..self.len], MAP_OFFSET_AT as u64)
    }
}
