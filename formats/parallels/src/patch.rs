//! The header as it lies in a file, to be changed: what nothing here knows stays as it is.

use imgfmt_core::{Medium, Result, Storage, StorageExt};

use crate::header::Header;
use crate::layout::{
    CYLINDERS_AT, DATA_OFFSET_AT, ENTRIES_AT, EXTENSION_AT, FLAGS_AT, HEADER_LEN, HEADS, HEADS_AT, IN_USE_AT,
    SECTORS_AT, put,
};

/// The bytes of a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RawHeader([u8; HEADER_LEN]);

impl RawHeader {
    /// Reads the header of an image.
    pub(crate) fn read(storage: &dyn Storage) -> Result<Self> {
        storage.read_array(0).map(Self)
    }

    /// Makes it say what `header` says of places, sizes and states. A disk of another size has the geometry of a new one.
    pub(crate) fn set(&mut self, header: &Header) {
        let sectors = header.sectors.to_le_bytes();
        let sectors = if header.is_old { &sectors[..4] } else { &sectors[..] };
        if self.0[SECTORS_AT..SECTORS_AT + sectors.len()] != *sectors {
            put(&mut self.0, HEADS_AT, &HEADS.to_le_bytes());
            put(&mut self.0, CYLINDERS_AT, &header.cylinders().to_le_bytes());
        }
        put(&mut self.0, ENTRIES_AT, &header.entries.to_le_bytes());
        put(&mut self.0, SECTORS_AT, sectors);
        put(&mut self.0, IN_USE_AT, &header.in_use.to_le_bytes());
        put(&mut self.0, DATA_OFFSET_AT, &header.data_offset.to_le_bytes());
        put(&mut self.0, FLAGS_AT, &header.flags.to_le_bytes());
    }

    /// Writes what can have changed, in one write of one sector: all of it is there after a cut, or nothing.
    pub(crate) fn write(&self, medium: &dyn Medium) -> Result<()> {
        medium.write_at(&self.0[HEADS_AT..EXTENSION_AT], HEADS_AT as u64)
    }
}
