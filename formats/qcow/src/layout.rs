//! The bytes of a qcow image, version 1, as "The QCOW Image Format" by Mark McLoughlin (2008) describes the versions before
//! QEMU's own document began: what follows is the section "The QCOW Header" and "2-Level Lookups", with the differences that
//! "Version 1" is said to have. Numbers are big-endian, offsets are in bytes from the start of the file.
//!
//! | Offset | Size | Field                 | Rule                                                                     |
//! |-------:|-----:|-----------------------|--------------------------------------------------------------------------|
//! |      0 |    4 | `magic`               | `"QFI\xfb"`                                                              |
//! |      4 |    4 | `version`             | 1                                                                        |
//! |      8 |    8 | `backing_file_offset` | where the name of the backing file is; 0: there is none                  |
//! |     16 |    4 | `backing_file_size`   | bytes of the name, at most 1023                                          |
//! |     20 |    4 | `mtime`               | when the backing file was last changed, in seconds since 1970; shown     |
//! |     24 |    8 | `size`                | bytes of the disk                                                        |
//! |     32 |    1 | `cluster_bits`        | 9 to 16: a cluster is that power of two                                  |
//! |     33 |    1 | `l2_bits`             | 6 to 13: an L2 table has that power of two of entries                    |
//! |     34 |    2 |                       | nothing                                                                  |
//! |     36 |    4 | `crypt_method`        | 0 none, 1 AES                                                            |
//! |     40 |    8 | `l1_table_offset`     | where the L1 table is: as many entries as the disk needs                 |
//!
//! An L1 entry is the offset of an L2 table, or 0. An L2 entry is the offset of a cluster, or 0 for one that is not there. Where
//! bit 63 is set, the cluster is a raw deflate stream: the lower 63 − `cluster_bits` bits are its offset, and the
//! `cluster_bits` bits above them its bytes.

/// `magic`, of every version.
pub(crate) const MAGIC: [u8; 4] = *b"QFI\xfb";
/// Place of `version`.
pub(crate) const VERSION_AT: usize = 4;
/// The only version of this format; its successors are another.
pub(crate) const VERSION: u32 = 1;
/// Place of `backing_file_offset`.
pub(crate) const BACKING_FILE_OFFSET_AT: usize = 8;
/// Place of `backing_file_size`.
pub(crate) const BACKING_FILE_SIZE_AT: usize = 16;
/// Place of `mtime`.
pub(crate) const MTIME_AT: usize = 20;
/// Place of `size`.
pub(crate) const SIZE_AT: usize = 24;
/// Place of `cluster_bits`.
pub(crate) const CLUSTER_BITS_AT: usize = 32;
/// Place of `l2_bits`.
pub(crate) const L2_BITS_AT: usize = 33;
/// Place of `crypt_method`.
pub(crate) const CRYPT_METHOD_AT: usize = 36;
/// Place of `l1_table_offset`.
pub(crate) const L1_TABLE_OFFSET_AT: usize = 40;

/// Bytes of the header.
pub(crate) const HEADER_LEN: usize = 48;
/// Longest name of a backing file. "The QCOW Header": 1023 bytes.
pub(crate) const MAX_BACKING_NAME_LEN: u32 = 1023;
/// log2 of the smallest and the largest cluster. Not in the document: what QEMU takes.
pub(crate) const CLUSTER_BITS: std::ops::RangeInclusive<u8> = 9..=16;
/// log2 of the entries of the smallest and the largest L2 table. Not in the document: what QEMU takes.
pub(crate) const L2_BITS: std::ops::RangeInclusive<u8> = 6..=13;
/// `crypt_method` of an image that is not encrypted.
pub(crate) const CRYPT_NONE: u32 = 0;
/// `crypt_method` of AES.
pub(crate) const CRYPT_AES: u32 = 1;
/// Bytes of a table entry.
pub(crate) const ENTRY_LEN: u64 = 8;
/// Bit of the L2 entry of a compressed cluster. "2-Level Lookups".
pub(crate) const COMPRESSED: u64 = 1 << 63;

/// The `N` bytes at `AT`, which the compiler checks to lie within.
pub(crate) fn field<const AT: usize, const N: usize>(header: &[u8; HEADER_LEN]) -> [u8; N] {
    const { assert!(AT + N <= HEADER_LEN, "field lies outside the header") };
    std::array::from_fn(|index| header[AT + index])
}

/// The number of 4 bytes at `AT`.
pub(crate) fn be_u32<const AT: usize>(header: &[u8; HEADER_LEN]) -> u32 {
    u32::from_be_bytes(field::<AT, 4>(header))
}

/// The number of 8 bytes at `AT`.
pub(crate) fn be_u64<const AT: usize>(header: &[u8; HEADER_LEN]) -> u64 {
    u64::from_be_bytes(field::<AT, 8>(header))
}
