//! The bytes of a VDI, version 1.1: there is no document but the declarations that VirtualBox publishes
//! (`src/VBox/Storage/VDICore.h`), whose fields are named below as they are there. Numbers are little-endian, offsets
//! are in bytes from the start of the file.
//!
//! | Offset | Size | Field                   | Rule                                                                     |
//! |-------:|-----:|-------------------------|--------------------------------------------------------------------------|
//! |      0 |   64 | `szFileInfo`            | text that names the program; shown                                       |
//! |     64 |    4 | `u32Signature`          | `7f 10 da be`                                                            |
//! |     68 |    4 | `u32Version`            | 0x00010001                                                               |
//! |     72 |    4 | `cbHeader`              | bytes of the header from here on, at least 384; 400 with the last field  |
//! |     76 |    4 | `u32Type`               | 1 dynamic, 2 fixed, 3 undo, 4 differencing                               |
//! |     80 |    4 | `fFlags`                | shown                                                                    |
//! |     84 |  256 | `szComment`             | text up to a 0; shown                                                    |
//! |    340 |    4 | `offBlocks`             | where the block map is: behind the header                                |
//! |    344 |    4 | `offData`               | where the first block is: behind the map                                 |
//! |    348 |   16 | `LegacyGeometry`        | cylinders, heads, sectors, bytes of a sector: not relied on              |
//! |    368 |    8 | `cbDisk`                | bytes of the disk                                                        |
//! |    376 |    4 | `cbBlock`               | bytes of data of a block: a power of two, at least 512; usually 1 MiB    |
//! |    380 |    4 | `cbBlockExtra`          | bytes in front of the data of each block                                 |
//! |    384 |    4 | `cBlocks`               | entries of the block map, enough for the disk                            |
//! |    388 |    4 | `cBlocksAllocated`      | how many blocks are stored; shown, not relied on                         |
//! |    392 |   16 | `uuidCreate`            | by which children know the image                                         |
//! |    408 |   16 | `uuidModify`            | changes with each use; shown                                             |
//! |    424 |   16 | `uuidLinkage`           | of differencing images: the parent's `uuidCreate`; else 0                |
//! |    440 |   16 | `uuidParentModify`      | of differencing images: the parent's `uuidModify`; shown                 |
//! |    456 |   16 | `LCHSGeometry`          | only where `cbHeader` has room for it; not relied on                     |
//!
//! The block map has an entry of 4 bytes for each block of the disk: the number of the block in the file, or 2³²−1 for
//! one that was never written, or 2³²−2 for one that is zero. Block n of the file begins at
//! `offData` + n · (`cbBlockExtra` + `cbBlock`).

/// Place of `szFileInfo`.
pub(crate) const FILE_INFO_AT: usize = 0;
/// Bytes of `szFileInfo`.
pub(crate) const FILE_INFO_LEN: usize = 64;
/// Place of `u32Signature`.
pub(crate) const SIGNATURE_AT: usize = 64;
/// `u32Signature`, 0xbeda107f.
pub(crate) const SIGNATURE: [u8; 4] = [0x7f, 0x10, 0xda, 0xbe];
/// Place of `u32Version`.
pub(crate) const VERSION_AT: usize = 68;
/// The version that VirtualBox has written since its first release.
pub(crate) const VERSION: u32 = 0x0001_0001;
/// Place of `cbHeader`, from where on it counts.
pub(crate) const HEADER_LEN_AT: usize = 72;
/// Place of `u32Type`.
pub(crate) const TYPE_AT: usize = 76;
/// Place of `fFlags`.
pub(crate) const FLAGS_AT: usize = 80;
/// Place of `szComment`.
pub(crate) const COMMENT_AT: usize = 84;
/// Bytes of `szComment`.
pub(crate) const COMMENT_LEN: usize = 256;
/// Place of `offBlocks`.
pub(crate) const MAP_OFFSET_AT: usize = 340;
/// Place of `offData`.
pub(crate) const DATA_OFFSET_AT: usize = 344;
/// Place of the cylinders, heads and sectors of `LegacyGeometry`, 4 bytes each.
pub(crate) const GEOMETRY_AT: usize = 348;
/// Place of the bytes of a sector in `LegacyGeometry`.
pub(crate) const GEOMETRY_SECTOR_AT: usize = 360;
/// Place of `cbDisk`.
pub(crate) const DISK_SIZE_AT: usize = 368;
/// Place of `cbBlock`.
pub(crate) const BLOCK_LEN_AT: usize = 376;
/// Place of `cbBlockExtra`.
pub(crate) const BLOCK_EXTRA_AT: usize = 380;
/// Place of `cBlocks`.
pub(crate) const BLOCKS_AT: usize = 384;
/// Place of `cBlocksAllocated`.
pub(crate) const ALLOCATED_AT: usize = 388;
/// Place of `uuidCreate`.
pub(crate) const UUID_CREATE_AT: usize = 392;
/// Place of `uuidModify`.
pub(crate) const UUID_MODIFY_AT: usize = 408;
/// Place of `uuidLinkage`.
pub(crate) const UUID_LINKAGE_AT: usize = 424;
/// Place of `uuidParentModify`.
pub(crate) const UUID_PARENT_MODIFY_AT: usize = 440;
/// Place of the cylinders, heads and sectors of `LCHSGeometry`, 4 bytes each.
pub(crate) const LCHS_AT: usize = 456;
/// Place of the bytes of a sector in `LCHSGeometry`.
pub(crate) const LCHS_SECTOR_AT: usize = 468;

/// Least `cbHeader`: up to `uuidParentModify`.
pub(crate) const MIN_HEADER_LEN: u32 = 384;
/// Bytes that are read: all from byte 0 to the end of the least header.
pub(crate) const HEAD_LEN: usize = HEADER_LEN_AT + MIN_HEADER_LEN as usize;
/// `cbHeader` of a new image: up to `LCHSGeometry`, as VirtualBox has it.
pub(crate) const HEADER_LEN: u32 = 400;
/// Bytes of a new header, from byte 0 on. All of it lies within the first sector, which is written as one.
pub(crate) const FULL_HEAD_LEN: usize = HEADER_LEN_AT + HEADER_LEN as usize;
/// Bytes of a sector, as both geometries say it; QEMU takes no other.
pub(crate) const SECTOR_LEN: u64 = 512;
/// Bytes of a block in a new image. Not a rule of the format: QEMU takes no other.
pub(crate) const NEW_BLOCK_LEN: u64 = 1 << 20;
/// The first block of a new image lies at a multiple of this, as in VirtualBox's: file systems can share what it holds, and
/// the map has room to grow.
pub(crate) const DATA_ALIGN: u64 = 1 << 20;
/// Most blocks of a disk. Not a rule of the format: QEMU takes no more.
pub(crate) const MAX_BLOCKS: u64 = 0x1fff_ff80;
/// Smallest block. Not a rule of the format: a sector.
pub(crate) const MIN_BLOCK_LEN: u32 = 512;
/// Bytes of an entry of the block map.
pub(crate) const ENTRY_LEN: u64 = 4;
/// The entry of a block that was never written: the parent's, or zero. `VDI_IMAGE_BLOCK_FREE`.
pub(crate) const FREE: u32 = u32::MAX;
/// The entry of a block that is zero. `VDI_IMAGE_BLOCK_ZERO`.
pub(crate) const ZERO: u32 = u32::MAX - 1;

/// The `N` bytes at `AT`, which the compiler checks to lie within.
pub(crate) fn field<const AT: usize, const N: usize>(head: &[u8; HEAD_LEN]) -> [u8; N] {
    const { assert!(AT + N <= HEAD_LEN, "field lies outside the header") };
    std::array::from_fn(|index| head[AT + index])
}

/// The number of 4 bytes at `AT`.
pub(crate) fn le_u32<const AT: usize>(head: &[u8; HEAD_LEN]) -> u32 {
    u32::from_le_bytes(field::<AT, 4>(head))
}

/// The number of 8 bytes at `AT`.
pub(crate) fn le_u64<const AT: usize>(head: &[u8; HEAD_LEN]) -> u64 {
    u64::from_le_bytes(field::<AT, 8>(head))
}

/// Puts `field` at `at`, which lies within.
pub(crate) fn put(bytes: &mut [u8], at: usize, field: &[u8]) {
    bytes[at..at + field.len()].copy_from_slice(field);
}
