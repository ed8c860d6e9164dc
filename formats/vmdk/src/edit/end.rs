//! Where an extent ends on a medium that does not end with it, such as a device.

use imgfmt_core::{Medium, Result, StorageExt};

use crate::header::Header;
use crate::layout::{ENTRY_LEN, SECTOR_LEN, byte_of, le_u32s};

/// The sector behind all that the extent in `medium` uses: header, descriptor, directories, and what the tables of both lead to.
/// What the redundant tables have more than the others is in use, too: they are written first.
pub(super) fn used_sectors(medium: &dyn Medium, header: &Header, first: &[u32], spare: Option<&[u32]>) -> Result<u64> {
    let directory = |at: u64| at.saturating_add((header.table_count() * ENTRY_LEN).div_ceil(SECTOR_LEN));
    let descriptor = header.descriptor_offset.saturating_add(header.descriptor_size);
    let mut end = header.overhead.max(descriptor).max(directory(header.gd_offset));
    end = end.max(header.redundant_directory().map_or(0, directory));
    let len = usize::try_from(header.table_len()).unwrap_or(usize::MAX);
    let tables = first.iter().chain(spare.unwrap_or_default()).filter(|sector| **sector != 0);
    for sector in tables.map(|sector| u64::from(*sector)) {
        let entries = le_u32s(&medium.read_vec(byte_of(sector), len)?);
        let grains = entries.iter().max().map_or(0, |last| u64::from(*last) + header.grain_size);
        end = end.max(sector + header.table_len().div_ceil(SECTOR_LEN)).max(grains);
    }
    Ok(end)
}
