//! The bytes of a Parallels image, as QEMU's document of the format (`docs/interop/parallels.rst`) has them, with its names
//! of the fields. Numbers are little-endian.
//!
//! | Offset | Size | Field         | Rule                                                                              |
//! |-------:|-----:|---------------|-----------------------------------------------------------------------------------|
//! |      0 |   16 | `magic`       | `WithoutFreeSpace`: entries count sectors; `WithouFreSpacExt`: they count clusters |
//! |     16 |    4 | `version`     | 2                                                                                 |
//! |     20 |    4 | `heads`       | not relied on; new images have 16                                                 |
//! |     24 |    4 | `cylinders`   | not relied on                                                                     |
//! |     28 |    4 | `tracks`      | sectors of a cluster                                                              |
//! |     32 |    4 | `bat_entries` | entries of the BAT, enough for the disk                                           |
//! |     36 |    8 | `nb_sectors`  | sectors of the disk; of the old magic, the first 4 bytes                          |
//! |     44 |    4 | `in_use`      | 0x746f6e59 while it is written to; 0x312e3276 or 0 once it is closed              |
//! |     48 |    4 | `data_off`    | sector of the first cluster; of the old magic, 0 is the sector behind the BAT     |
//! |     52 |    4 | `flags`       | bit 0: the disk is said to be empty; not relied on                                |
//! |     56 |    8 | `ext_off`     | sector of the format extension, or 0; of the new magic alone                      |
//! |     64 |      | BAT           | 4 bytes for each cluster: where it is, from byte 0 on; 0 is nowhere                |

/// Place of `magic`.
pub(crate) const MAGIC_AT: usize = 0;
/// The magic of images whose entries count sectors.
pub(crate) const OLD_MAGIC: [u8; 16] = *b"WithoutFreeSpace";
/// The magic of images whose entries count clusters.
pub(crate) const MAGIC: [u8; 16] = *b"WithouFreSpacExt";
/// Place of `version`.
pub(crate) const VERSION_AT: usize = 16;
/// The only version.
pub(crate) const VERSION: u32 = 2;
/// Place of `heads`.
pub(crate) const HEADS_AT: usize = 20;
/// `heads` of a new image, as in QEMU's.
pub(crate) const HEADS: u32 = 16;
/// Place of `cylinders`.
pub(crate) const CYLINDERS_AT: usize = 24;
/// Sectors of a cylinder of a new image, as in QEMU's: 16 heads of 32 sectors.
pub(crate) const CYLINDER_SECTORS: u64 = 512;
/// Place of `tracks`.
pub(crate) const TRACKS_AT: usize = 28;
/// Most sectors of a cluster. Not a rule of the format: QEMU takes no more.
pub(crate) const MAX_TRACKS: u32 = i32::MAX as u32 / 513;
/// Place of `bat_entries`.
pub(crate) const ENTRIES_AT: usize = 32;
/// Most entries. Not a rule of the format: QEMU takes no more.
pub(crate) const MAX_ENTRIES: u64 = i32::MAX as u64 / 4;
/// Place of `nb_sectors`.
pub(crate) const SECTORS_AT: usize = 36;
/// Place of `in_use`.
pub(crate) const IN_USE_AT: usize = 44;
/// `in_use` of an image that somebody writes to, or that was not closed.
pub(crate) const IN_USE: u32 = 0x746f_6e59;
/// Place of `data_off`.
pub(crate) const DATA_OFFSET_AT: usize = 48;
/// Place of `flags`.
pub(crate) const FLAGS_AT: usize = 52;
/// The bit of `flags` that says that the disk is empty, whatever the BAT says.
pub(crate) const EMPTY: u32 = 1;
/// Place of `ext_off`.
pub(crate) const EXTENSION_AT: usize = 56;
/// Bytes of the header; the BAT follows.
pub(crate) const HEADER_LEN: usize = 64;
/// Bytes of an entry of the BAT.
pub(crate) const ENTRY_LEN: u64 = 4;
/// Bytes of a sector.
pub(crate) const SECTOR_LEN: u64 = 512;
/// Bytes of a cluster of a new image where none are given, as QEMU has them.
pub(crate) const DEFAULT_CLUSTER_LEN: u64 = 1 << 20;

/// The `N` bytes at `AT`, which the compiler checks to lie within.
pub(crate) fn field<const AT: usize, const N: usize>(head: &[u8; HEADER_LEN]) -> [u8; N] {
    const { assert!(AT + N <= HEADER_LEN, "field lies outside the header") };
    std::array::from_fn(|index| head[AT + index])
}

/// The number of 4 bytes at `AT`.
pub(crate) fn le_u32<const AT: usize>(head: &[u8; HEADER_LEN]) -> u32 {
    u32::from_le_bytes(field::<AT, 4>(head))
}

/// The number of 8 bytes at `AT`.
pub(crate) fn le_u64<const AT: usize>(head: &[u8; HEADER_LEN]) -> u64 {
    u64::from_le_bytes(field::<AT, 8>(head))
}

/// Puts `field` at `at`, which lies within.
pub(crate) fn put(head: &mut [u8; HEADER_LEN], at: usize, field: &[u8]) {
    head[at..at + field.len()].copy_from_slice(field);
}
