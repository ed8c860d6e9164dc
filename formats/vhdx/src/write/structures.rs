//! Headers, region tables and metadata of a new image.

use uuid::Uuid;

use super::settings::{METADATA_REGION_LEN, Places, Settings};
use crate::fields::{put, seal};
use crate::layout::{
    BAT_REGION, CREATOR_AT, DATA_WRITE_GUID_AT, ENTRY_LEN, FILE_PARAMETERS, FILE_SIGNATURE, FILE_WRITE_GUID_AT,
    HAS_PARENT, HEADER_LEN, HEADER_SIGNATURE, IS_REQUIRED, IS_VIRTUAL_DISK, ITEM_FLAGS_AT, ITEM_LENGTH_AT,
    ITEM_OFFSET_AT, LEAVE_BLOCKS_ALLOCATED, LOG_LENGTH_AT, LOG_OFFSET_AT, LOGICAL_SECTOR_SIZE, METADATA_COUNT_AT,
    METADATA_ENTRIES_AT, METADATA_REGION, METADATA_SIGNATURE, METADATA_TABLE_LEN, PARENT_LOCATOR, PHYSICAL_SECTOR_SIZE,
    REGION_COUNT_AT, REGION_ENTRIES_AT, REGION_LENGTH_AT, REGION_OFFSET_AT, REGION_REQUIRED_AT, REGION_SIGNATURE,
    REGION_TABLE_LEN, SEQUENCE_NUMBER_AT, VERSION, VERSION_AT, VIRTUAL_DISK_ID, VIRTUAL_DISK_SIZE,
};

/// The file type identifier.
pub(super) fn file_type() -> Vec<u8> {
    let mut bytes = vec![0; CREATOR_AT];
    bytes[..CREATOR_AT].copy_from_slice(&FILE_SIGNATURE);
    bytes.extend(CREATOR.encode_utf16().flat_map(u16::to_le_bytes));
    bytes
}

/// The header with this sequence number.
pub(super) fn header(settings: &Settings, places: &Places, sequence_number: u64) -> Vec<u8> {
    let mut bytes = vec![0; HEADER_LEN];
    put(&mut bytes, 0, &HEADER_SIGNATURE);
    put(&mut bytes, SEQUENCE_NUMBER_AT, &sequence_number.to_le_bytes());
    put(&mut bytes, FILE_WRITE_GUID_AT, &settings.guids.file_write.to_bytes_le());
    put(&mut bytes, DATA_WRITE_GUID_AT, &settings.guids.data_write.to_bytes_le());
    put(&mut bytes, VERSION_AT, &VERSION.to_le_bytes());
    put(&mut bytes, LOG_LENGTH_AT, &settings.log_len.to_le_bytes());
    put(&mut bytes, LOG_OFFSET_AT, &places.log.to_le_bytes());
    sealed(bytes)
}

/// A region table.
pub(super) fn region_table(places: &Places) -> Vec<u8> {
    let mut bytes = vec![0; REGION_TABLE_LEN];
    put(&mut bytes, 0, &REGION_SIGNATURE);
    let regions = [
        (BAT_REGION, places.bat, places.bat_len),
        (METADATA_REGION, places.metadata, u32::try_from(METADATA_REGION_LEN).unwrap_or(u32::MAX)),
    ];
    put(&mut bytes, REGION_COUNT_AT, &u32::try_from(regions.len()).unwrap_or(u32::MAX).to_le_bytes());
    for ((guid, offset, len), at) in regions.into_iter().zip((REGION_ENTRIES_AT..).step_by(ENTRY_LEN)) {
        put(&mut bytes, at, &guid.to_bytes_le());
        put(&mut bytes, at + REGION_OFFSET_AT, &offset.to_le_bytes());
        put(&mut bytes, at + REGION_LENGTH_AT, &len.to_le_bytes());
        put(&mut bytes, at + REGION_REQUIRED_AT, &1u32.to_le_bytes());
    }
    sealed(bytes)
}

/// The metadata table and its items.
pub(super) fn metadata(settings: &Settings) -> Vec<u8> {
    let items = items(settings);
    let mut bytes = vec![0; METADATA_TABLE_LEN];
    put(&mut bytes, 0, &METADATA_SIGNATURE);
    put(&mut bytes, METADATA_COUNT_AT, &u16::try_from(items.len()).unwrap_or(u16::MAX).to_le_bytes());
    for ((id, flags, item), at) in items.into_iter().zip((METADATA_ENTRIES_AT..).step_by(ENTRY_LEN)) {
        let offset = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        put(&mut bytes, at, &id.to_bytes_le());
        put(&mut bytes, at + ITEM_OFFSET_AT, &offset.to_le_bytes());
        put(&mut bytes, at + ITEM_LENGTH_AT, &u32::try_from(item.len()).unwrap_or(u32::MAX).to_le_bytes());
        put(&mut bytes, at + ITEM_FLAGS_AT, &flags.to_le_bytes());
        bytes.extend(&item);
        bytes.resize(bytes.len().next_multiple_of(ITEM_ALIGN), 0);
    }
    bytes
}

/// Identifier, flags and content of every item.
fn items(settings: &Settings) -> Vec<(Uuid, u32, Vec<u8>)> {
    let geometry = &settings.geometry;
    let of_disk = IS_VIRTUAL_DISK | IS_REQUIRED;
    let fixed = if settings.fixed { LEAVE_BLOCKS_ALLOCATED } else { 0 };
    let child = if geometry.differencing { HAS_PARENT } else { 0 };
    let block_len = u32::try_from(geometry.block_len).unwrap_or(u32::MAX);
    let sector_len = u32::try_from(geometry.sector_len).unwrap_or(u32::MAX);
    let parameters = [block_len.to_le_bytes(), (fixed | child).to_le_bytes()].concat();
    let mut items = vec![
        (FILE_PARAMETERS, IS_REQUIRED, parameters),
        (VIRTUAL_DISK_SIZE, of_disk, geometry.size.to_le_bytes().to_vec()),
        (LOGICAL_SECTOR_SIZE, of_disk, sector_len.to_le_bytes().to_vec()),
        (PHYSICAL_SECTOR_SIZE, of_disk, settings.physical_sector_len.to_le_bytes().to_vec()),
        (VIRTUAL_DISK_ID, of_disk, settings.guids.disk.to_bytes_le().to_vec()),
    ];
    items.extend(settings.locator.clone().map(|locator| (PARENT_LOCATOR, IS_REQUIRED, locator)));
    items
}

/// The structure with its checksum.
fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    seal(&mut bytes);
    bytes
}

/// The name that is left in the file.
const CREATOR: &str = concat!("imgfmt ", env!("CARGO_PKG_VERSION"));
/// Items start at a multiple of this, in bytes. No rule of the format.
const ITEM_ALIGN: usize = 8;
