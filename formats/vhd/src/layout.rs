//! The bytes of a VHD: Microsoft, "Virtual Hard Disk Image Format Specification", version 1.0. Numbers are big-endian;
//! offsets are in bytes, and only the entries of the block allocation table count sectors of 512 bytes.
//!
//! The footer, "Hard Disk Footer Format", is the last sector of every file, and in files with a table the first one, too.
//! Programs from before Virtual PC 2004 wrote 511 bytes of it.
//!
//! | Offset | Size | Field                 | Rule                                                                     |
//! |-------:|-----:|-----------------------|--------------------------------------------------------------------------|
//! |      0 |    8 | `Cookie`              | `"conectix"`                                                             |
//! |      8 |    4 | `Features`            | bit 1 is always set; bit 0: a temporary disk. Shown, not relied on       |
//! |     12 |    4 | `File Format Version` | the upper half is 1                                                      |
//! |     16 |    8 | `Data Offset`         | where the next header is; not relied on in fixed disks                   |
//! |     24 |    4 | `Time Stamp`          | seconds since 2000-01-01 00:00 UTC                                       |
//! |     28 |    4 | `Creator Application` | whose it is; decides which field is the size                             |
//! |     32 |    4 | `Creator Version`     | shown                                                                    |
//! |     36 |    4 | `Creator Host OS`     | shown                                                                    |
//! |     40 |    8 | `Original Size`       | shown, not relied on                                                     |
//! |     48 |    8 | `Current Size`        | bytes of the disk, at most 2040 GiB                                      |
//! |     56 |    4 | `Disk Geometry`       | cylinders (2), heads (1), sectors per track (1)                          |
//! |     60 |    4 | `Disk Type`           | 2 fixed, 3 dynamic, 4 differencing                                       |
//! |     64 |    4 | `Checksum`            | the complement of the sum of all other bytes                             |
//! |     68 |   16 | `Unique Id`           | by which children know the disk                                          |
//! |     84 |    1 | `Saved State`         | 1: a machine that uses the disk is asleep                                |
//!
//! The header, "Dynamic Disk Header Format", lies at the footer's `Data Offset`:
//!
//! | Offset | Size | Field                    | Rule                                                                  |
//! |-------:|-----:|--------------------------|-----------------------------------------------------------------------|
//! |      0 |    8 | `Cookie`                 | `"cxsparse"`                                                          |
//! |      8 |    8 | `Data Offset`            | of a next header, which nobody has; not relied on                     |
//! |     16 |    8 | `Table Offset`           | where the block allocation table is, all of it within the file        |
//! |     24 |    4 | `Header Version`         | the upper half is 1                                                   |
//! |     28 |    4 | `Max Table Entries`      | at least as many as the disk has blocks                               |
//! |     32 |    4 | `Block Size`             | a power of two, at least 512                                          |
//! |     36 |    4 | `Checksum`               | as in the footer                                                      |
//! |     40 |   16 | `Parent Unique ID`       | of differencing disks: the `Unique Id` of the parent                  |
//! |     56 |    4 | `Parent Time Stamp`      | when the parent last changed; 0 or anything: shown, not relied on     |
//! |     64 |  512 | `Parent Unicode Name`    | the parent's name in UTF-16, up to a 0                                |
//! |    576 |  192 | `Parent Locator Entry` 1–8 | where else the parent's name is                                     |
//!
//! A parent locator:
//!
//! | Offset | Size | Field                  | Rule                                                                    |
//! |-------:|-----:|------------------------|-------------------------------------------------------------------------|
//! |      0 |    4 | `Platform Code`        | `W2ru`, `W2ku`: UTF-16, little-endian; `MacX`: a URL in UTF-8; 0: none  |
//! |      4 |    4 | `Platform Data Space`  | room for it, in bytes whatever the specification says; not relied on    |
//! |      8 |    4 | `Platform Data Length` | bytes of the name                                                       |
//! |     16 |    8 | `Platform Data Offset` | where it is                                                             |
//!
//! An entry of the block allocation table, "Block Allocation Table and Data Blocks", is 4 bytes: the sector of a block, or
//! 2³²−1 where there is none. A block is its sector bitmap, padded to whole sectors, and `Block Size` bytes of data. A
//! bit, the highest of a byte first, is set where the sector is stored.

/// Bytes of a sector. "Overview".
pub(crate) const SECTOR_LEN: u64 = 512;
/// Bytes of the footer. "Hard Disk Footer Format".
pub(crate) const FOOTER_LEN: usize = 512;
/// Bytes of a footer from before Virtual PC 2004. "Hard Disk Footer Format".
pub(crate) const OLD_FOOTER_LEN: usize = 511;
/// Bytes of the dynamic disk header. "Dynamic Disk Header Format".
pub(crate) const HEADER_LEN: usize = 1024;

/// `Cookie` of the footer.
pub(crate) const FOOTER_COOKIE: [u8; 8] = *b"conectix";
/// Place of `Features`.
pub(crate) const FEATURES_AT: usize = 8;
/// Place of `File Format Version`.
pub(crate) const FORMAT_VERSION_AT: usize = 12;
/// Place of the footer's `Data Offset`.
pub(crate) const DATA_OFFSET_AT: usize = 16;
/// Place of `Time Stamp`.
pub(crate) const TIME_STAMP_AT: usize = 24;
/// Place of `Creator Application`.
pub(crate) const CREATOR_APP_AT: usize = 28;
/// Place of `Creator Version`.
pub(crate) const CREATOR_VERSION_AT: usize = 32;
/// Place of `Creator Host OS`.
pub(crate) const CREATOR_HOST_AT: usize = 36;
/// Place of `Original Size`.
pub(crate) const ORIGINAL_SIZE_AT: usize = 40;
/// Place of `Current Size`.
pub(crate) const CURRENT_SIZE_AT: usize = 48;
/// Place of `Disk Geometry`.
pub(crate) const GEOMETRY_AT: usize = 56;
/// Place of `Disk Type`.
pub(crate) const DISK_TYPE_AT: usize = 60;
/// Place of the footer's `Checksum`.
pub(crate) const FOOTER_CHECKSUM_AT: usize = 64;
/// Place of `Unique Id`.
pub(crate) const UNIQUE_ID_AT: usize = 68;
/// Place of `Saved State`.
pub(crate) const SAVED_STATE_AT: usize = 84;

/// `Cookie` of the header.
pub(crate) const HEADER_COOKIE: [u8; 8] = *b"cxsparse";
/// Place of the header's `Data Offset`.
pub(crate) const NEXT_HEADER_AT: usize = 8;
/// Place of `Table Offset`.
pub(crate) const TABLE_OFFSET_AT: usize = 16;
/// Place of `Header Version`.
pub(crate) const HEADER_VERSION_AT: usize = 24;
/// Place of `Max Table Entries`.
pub(crate) const MAX_TABLE_ENTRIES_AT: usize = 28;
/// Place of `Block Size`.
pub(crate) const BLOCK_SIZE_AT: usize = 32;
/// Place of the header's `Checksum`.
pub(crate) const HEADER_CHECKSUM_AT: usize = 36;
/// Place of `Parent Unique ID`.
pub(crate) const PARENT_ID_AT: usize = 40;
/// Place of `Parent Time Stamp`.
pub(crate) const PARENT_TIME_AT: usize = 56;
/// Place of `Parent Unicode Name`.
pub(crate) const PARENT_NAME_AT: usize = 64;
/// Place of the first parent locator.
pub(crate) const LOCATORS_AT: usize = 576;

/// Bytes of `Parent Unicode Name`.
pub(crate) const PARENT_NAME_LEN: usize = 512;
/// Parent locators in a header.
pub(crate) const LOCATOR_COUNT: usize = 8;
/// Bytes of a parent locator.
pub(crate) const LOCATOR_LEN: usize = 24;
/// Place of `Platform Data Space` in a locator.
pub(crate) const LOCATOR_SPACE_AT: usize = 4;
/// Place of `Platform Data Length` in a locator.
pub(crate) const LOCATOR_DATA_LEN_AT: usize = 8;
/// Place of `Platform Data Offset` in a locator.
pub(crate) const LOCATOR_OFFSET_AT: usize = 16;
/// `Platform Code` of a Windows path relative to the child.
pub(crate) const RELATIVE_WINDOWS: [u8; 4] = *b"W2ru";
/// `Platform Code` of an absolute Windows path.
pub(crate) const ABSOLUTE_WINDOWS: [u8; 4] = *b"W2ku";
/// `Platform Code` of a file URL.
pub(crate) const MAC_URL: [u8; 4] = *b"MacX";

/// `Features` that everybody writes. "Features": this bit must always be set.
pub(crate) const FEATURES_RESERVED: u32 = 2;
/// `Features` of a disk that may be deleted. "Features".
pub(crate) const FEATURES_TEMPORARY: u32 = 1;
/// `File Format Version` and `Header Version` of this specification.
pub(crate) const VERSION: u32 = 0x0001_0000;
/// A `Data Offset` that leads nowhere.
pub(crate) const NO_OFFSET: u64 = u64::MAX;
/// Bytes of an entry of the block allocation table.
pub(crate) const ENTRY_LEN: u64 = 4;
/// The entry of a block that is not there. "Block Allocation Table and Data Blocks".
pub(crate) const UNUSED_ENTRY: u32 = u32::MAX;
/// Largest disk, in sectors: 2040 GiB. Not in the specification: what Hyper-V and QEMU take.
pub(crate) const MAX_SECTORS: u64 = 0xff00_0000;
/// The data of blocks starts at a multiple of this, in bytes, so that file systems can share what they hold. Not a rule of the
/// format.
pub(crate) const PAGE_LEN: u64 = 4096;
/// Cookie of the map of whole blocks that XenServer puts behind the block table, in a sector of its own. Not in the
/// specification.
pub(crate) const XEN_MAP_COOKIE: [u8; 8] = *b"tdbatmap";
/// Place in that sector of the byte at which the map is.
pub(crate) const XEN_MAP_OFFSET_AT: usize = 8;
/// Place in that sector of how many sectors the map takes.
pub(crate) const XEN_MAP_LEN_AT: usize = 16;
/// Seconds from 1970 to 2000, both UTC.
pub(crate) const EPOCH: u64 = 946_684_800;

/// The `N` bytes at `AT`, which the compiler checks to lie within.
pub(crate) fn field<const AT: usize, const N: usize, const LEN: usize>(bytes: &[u8; LEN]) -> [u8; N] {
    const { assert!(AT + N <= LEN, "field lies outside its structure") };
    std::array::from_fn(|index| bytes[AT + index])
}

/// The number of 4 bytes at `AT`.
pub(crate) fn be_u32<const AT: usize, const LEN: usize>(bytes: &[u8; LEN]) -> u32 {
    u32::from_be_bytes(field::<AT, 4, LEN>(bytes))
}

/// The number of 8 bytes at `AT`.
pub(crate) fn be_u64<const AT: usize, const LEN: usize>(bytes: &[u8; LEN]) -> u64 {
    u64::from_be_bytes(field::<AT, 8, LEN>(bytes))
}

/// The first `count` numbers of 4 bytes of `bytes`.
pub(crate) fn be_u32s(bytes: &[u8], count: u64) -> Vec<u32> {
    let (entries, _) = bytes.as_chunks::<4>();
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    entries.iter().take(count).map(|&entry| u32::from_be_bytes(entry)).collect()
}

/// The checksum of a structure whose own checksum is at `at`: the complement of the sum of all its other bytes.
pub(crate) fn checksum(bytes: &[u8], at: usize) -> u32 {
    let others = bytes.iter().enumerate().filter(|(index, _)| !(at..at + 4).contains(index));
    !others.fold(0_u32, |sum, (_, &byte)| sum.wrapping_add(u32::from(byte)))
}

/// Bytes of the sector bitmap of a block of `block_len` bytes: whole sectors.
pub(crate) fn bitmap_len(block_len: u64) -> u64 {
    (block_len / SECTOR_LEN).div_ceil(8).next_multiple_of(SECTOR_LEN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_big_endian() {
        let bytes = [1, 2, 3, 4, 5, 6, 7, 8, 9];
        assert_eq!(be_u32::<1, 9>(&bytes), 0x0203_0405);
        assert_eq!(be_u64::<1, 9>(&bytes), 0x0203_0405_0607_0809);
    }

    #[test]
    fn a_checksum_leaves_itself_out() {
        assert_eq!(checksum(&[1, 2, 9, 9, 9, 9, 3], 2), !6);
        assert_eq!(checksum(&[0; 512], 64), u32::MAX);
    }

    #[test]
    fn a_bitmap_takes_whole_sectors() {
        assert_eq!([512, 2 << 20, 4 << 20, 256 << 20].map(bitmap_len), [512, 512, 1024, 65_536]);
    }
}
