//! What lies where on a disc.
//!
//! Discs have sectors of 2048 bytes. The first 16 are the system area, which is free for boot code; volume descriptors
//! follow. ECMA-119 (ISO 9660) counts bytes of a descriptor from 1, this table from 0. Numbers are stored twice, the little end
//! first (LE) and then the big end first, unless it says LE alone.
//!
//! | Offset | Size | Volume descriptor | Rule | ECMA-119 |
//! |-------:|-----:|-------|------|------|
//! | 0 | 1 | Volume Descriptor Type | 0 boot record, 1 primary, 2 supplementary, 3 partition, 255 terminator | 8.1.1 |
//! | 1 | 5 | Standard Identifier | `CD001` | 8.1.2 |
//! | 6 | 1 | Volume Descriptor Version | 1; 2 for an enhanced one | 8.1.3 |
//! | 7 | 1 | Volume Flags | supplementary ones alone | 8.5.3 |
//! | 8 | 32 | System Identifier | a-characters | 8.4.5 |
//! | 40 | 32 | Volume Identifier | d-characters; UCS-2 in Joliet | 8.4.6 |
//! | 80 | 8 | Volume Space Size | logical blocks | 8.4.8 |
//! | 88 | 32 | Escape Sequences | supplementary ones alone; `%/@`, `%/C`, `%/E` say Joliet | 8.5.6 |
//! | 120 | 4 | Volume Set Size | | 8.4.10 |
//! | 124 | 4 | Volume Sequence Number | | 8.4.11 |
//! | 128 | 4 | Logical Block Size | a power of two, 512 to 2048 | 8.4.12 |
//! | 156 | 34 | Directory Record for Root Directory | | 8.4.18 |
//! | 190 | 128 | Volume Set Identifier | | 8.4.19 |
//! | 318 | 128 | Publisher Identifier | | 8.4.20 |
//! | 446 | 128 | Data Preparer Identifier | | 8.4.21 |
//! | 574 | 128 | Application Identifier | | 8.4.22 |
//! | 813 | 17 | Volume Creation Date and Time | digits, and the zone in quarters of an hour | 8.4.26 |
//! | 830 | 17 | Volume Modification Date and Time | | 8.4.27 |
//!
//! High Sierra, the draft before the standard, has the block number of the descriptor (8 bytes) before its type, `CDROM` for
//! its identifier, and the same fields 8 bytes further on up to the root directory.
//!
//! A boot record of El Torito has `EL TORITO SPECIFICATION` at 7 and the sector of the boot catalog (LE, 4) at 71.

/// Bytes of a sector of a disc. ECMA-119, 6.1.2.
pub(crate) const SECTOR_LEN: u64 = 2048;
/// The sector of the first volume descriptor. ECMA-119, 6.2.1.
pub(crate) const FIRST_DESCRIPTOR: u64 = 16;
/// Bytes of a volume descriptor.
pub(crate) const DESCRIPTOR_LEN: usize = 2048;

/// The kind of a volume descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DescriptorType(pub(crate) u8);

impl DescriptorType {
    /// How to boot. ECMA-119, 8.2.
    pub(crate) const BOOT: Self = Self(0);
    /// The volume. ECMA-119, 8.4.
    pub(crate) const PRIMARY: Self = Self(1);
    /// The volume once more, with other characters. ECMA-119, 8.5.
    pub(crate) const SUPPLEMENTARY: Self = Self(2);
    /// The end of the descriptors. ECMA-119, 8.3.
    pub(crate) const TERMINATOR: Self = Self(255);
}

/// Position of the standard identifier.
pub(crate) const IDENTIFIER_AT: usize = 1;
/// The identifier of ISO 9660.
pub(crate) const ISO_9660: &[u8; 5] = b"CD001";
/// The identifier of High Sierra.
pub(crate) const HIGH_SIERRA: &[u8; 5] = b"CDROM";
/// How much further on the fields of High Sierra are.
pub(crate) const HIGH_SIERRA_SHIFT: usize = 8;
/// The start of the extended area. ECMA-167, 2/9.2.
pub(crate) const BEGIN_EXTENDED: &[u8; 5] = b"BEA01";
/// The end of the extended area. ECMA-167, 2/9.3.
pub(crate) const END_EXTENDED: &[u8; 5] = b"TEA01";
/// A file system of ECMA-167, second edition. ECMA-167, 3/9.1.
pub(crate) const NSR02: &[u8; 5] = b"NSR02";
/// A file system of ECMA-167, third edition.
pub(crate) const NSR03: &[u8; 5] = b"NSR03";
/// Boot code of ECMA-167. ECMA-167, 2/9.4.
pub(crate) const BOOT2: &[u8; 5] = b"BOOT2";

/// Position of the version.
pub(crate) const VERSION_AT: usize = 6;
/// The version of an enhanced descriptor of ISO 9660:1999.
pub(crate) const ENHANCED_VERSION: u8 = 2;
/// Position and length of the system identifier.
pub(crate) const SYSTEM: (usize, usize) = (8, 32);
/// Position and length of the volume identifier.
pub(crate) const VOLUME: (usize, usize) = (40, 32);
/// Position of the number of logical blocks.
pub(crate) const SPACE_SIZE_AT: usize = 80;
/// Position of the escape sequences.
pub(crate) const ESCAPES_AT: usize = 88;
/// The escape sequences of Joliet, for its levels 1, 2 and 3. Joliet Specification, "SVD Escape Sequences Field".
pub(crate) const JOLIET: [&[u8; 3]; 3] = [b"%/@", b"%/C", b"%/E"];
/// Position of the number of volumes in the set.
pub(crate) const SET_SIZE_AT: usize = 120;
/// Position of the number of this volume.
pub(crate) const SEQUENCE_AT: usize = 124;
/// Position of the bytes of a logical block.
pub(crate) const BLOCK_SIZE_AT: usize = 128;
/// Position of the root directory's record.
pub(crate) const ROOT_AT: usize = 156;
/// Position and length of the volume set identifier.
pub(crate) const VOLUME_SET: (usize, usize) = (190, 128);
/// Position and length of the publisher.
pub(crate) const PUBLISHER: (usize, usize) = (318, 128);
/// Position and length of who prepared the data.
pub(crate) const PREPARER: (usize, usize) = (446, 128);
/// Position and length of the application.
pub(crate) const APPLICATION: (usize, usize) = (574, 128);
/// Position of the date of creation.
pub(crate) const CREATED_AT: usize = 813;
/// Position of the date of modification.
pub(crate) const MODIFIED_AT: usize = 830;
/// Bytes of a date.
pub(crate) const DATE_LEN: usize = 17;

/// Position of the boot system's name in a boot record.
pub(crate) const BOOT_SYSTEM_AT: usize = 7;
/// The boot system El Torito. El Torito 1.0, "Boot Record Volume Descriptor".
pub(crate) const EL_TORITO: &[u8] = b"EL TORITO SPECIFICATION";
/// Position of the sector of the boot catalog.
pub(crate) const CATALOG_AT: usize = 71;

/// Position of the sector in a directory record. ECMA-119, 9.1.3.
pub(crate) const RECORD_EXTENT_AT: usize = 2;
/// Position of the length of the name in a directory record. ECMA-119, 9.1.10.
pub(crate) const RECORD_NAME_LEN_AT: usize = 32;
/// Position of the name in a directory record.
pub(crate) const RECORD_NAME_AT: usize = 33;

/// Volume descriptors that are looked at: not a rule of the standard, which has no end.
pub(crate) const MAX_DESCRIPTORS: u64 = 64;
