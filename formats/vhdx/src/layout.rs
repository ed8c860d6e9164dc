//! What lies where, from [MS-VHDX], "Virtual Hard Disk v2 (VHDX) File Format". Numbers are little-endian.
//!
//! The header section, § 2.2, in the first MiB:
//!
//! | Offset | Size | Structure | Spec |
//! |-------:|-----:|-----------|------|
//! |       0 |  64 K | file type identifier | § 2.2.1 |
//! |  64 KiB |   4 K | header 1 | § 2.2.2 |
//! | 128 KiB |   4 K | header 2 | § 2.2.2 |
//! | 192 KiB |  64 K | region table 1 | § 2.2.3 |
//! | 256 KiB |  64 K | region table 2 | § 2.2.3 |
//!
//! A header:
//!
//! | Offset | Size | Field | Rule |
//! |-------:|-----:|-------|------|
//! |  0 |  4 | `Signature` | `head` |
//! |  4 |  4 | `Checksum` | CRC-32C of the 4 KiB with this field 0 |
//! |  8 |  8 | `SequenceNumber` | the valid header with the greater one counts |
//! | 16 | 16 | `FileWriteGuid` | changes when the file does |
//! | 32 | 16 | `DataWriteGuid` | changes when the guest's data does; what children know their parent by |
//! | 48 | 16 | `LogGuid` | 0: there is nothing to replay |
//! | 64 |  2 | `LogVersion` | 0, where there is a log |
//! | 66 |  2 | `Version` | 1 |
//! | 68 |  4 | `LogLength` | whole MiB |
//! | 72 |  8 | `LogOffset` | whole MiB, behind the header section |
//!
//! A region table is a header of 16 bytes – `regi`, `Checksum` of its 64 KiB, `EntryCount`, reserved – and entries:
//!
//! | Offset | Size | Field | Rule |
//! |-------:|-----:|-------|------|
//! |  0 | 16 | `Guid` | of the BAT or the metadata |
//! | 16 |  8 | `FileOffset` | whole MiB, behind the header section |
//! | 24 |  4 | `Length` | whole MiB |
//! | 28 |  4 | `Required` | bit 0: who does not know the region refuses the file |
//!
//! A log entry, § 2.3.1: this header, descriptors of 32 bytes up to the end of a sector of 4 KiB, then a data sector
//! for each data descriptor.
//!
//! | Offset | Size | Field | Rule |
//! |-------:|-----:|-------|------|
//! |  0 |  4 | `Signature` | `loge` |
//! |  4 |  4 | `Checksum` | CRC-32C of the entry with this field 0 |
//! |  8 |  4 | `EntryLength` | whole sectors |
//! | 12 |  4 | `Tail` | byte of the log where the sequence that ends with this entry begins |
//! | 16 |  8 | `SequenceNumber` | one more than that of the entry before, never 0 |
//! | 24 |  4 | `DescriptorCount` | |
//! | 32 | 16 | `LogGuid` | the header's |
//! | 48 |  8 | `FlushedFileOffset` | the file was at least as long, safely |
//! | 56 |  8 | `LastFileOffset` | the file has to be at least as long |
//!
//! | Offset | data descriptor | zero descriptor | data sector |
//! |-------:|-----------------|-----------------|-------------|
//! |  0 | `desc` | `zero` | `data` |
//! |  4 | last 4 bytes of the sector | reserved | high half of the sequence number |
//! |  8 | first 8 bytes of the sector | `ZeroLength` | the 4084 bytes between |
//! | 16 | `FileOffset` | `FileOffset` | |
//! | 24 | `SequenceNumber` | `SequenceNumber` | |
//! | 4092 | | | low half of the sequence number |
//!
//! The block allocation table, § 2.5, has entries of 64 bits: the state in bits 0 to 2, the host offset in MiB from bit 20
//! on. Behind the entries of each chunk of payload blocks – as many as 2²³ sectors fill – is one for the chunk's sector
//! bitmap.
//!
//! The metadata table, § 2.6.1, is a header of 32 bytes – `metadata`, 2 bytes, `EntryCount` in 2 – and entries:
//!
//! | Offset | Size | Field | Rule |
//! |-------:|-----:|-------|------|
//! |  0 | 16 | `ItemId` | |
//! | 16 |  4 | `Offset` | from the start of the region, behind the table's 64 KiB |
//! | 20 |  4 | `Length` | at most 1 MiB |
//! | 24 |  4 | flags | bit 0 `IsUser`, bit 1 `IsVirtualDisk`, bit 2 `IsRequired` |
//!
//! | Item | Size | Content | Spec |
//! |------|-----:|---------|------|
//! | File Parameters | 8 | `BlockSize`; bit 0 `LeaveBlocksAllocated`, bit 1 `HasParent` | § 2.6.2.1 |
//! | Virtual Disk Size | 8 | bytes, whole logical sectors | § 2.6.2.2 |
//! | Virtual Disk ID | 16 | what the guest sees as SCSI page 83 | § 2.6.2.3 |
//! | Logical Sector Size | 4 | 512 or 4096 | § 2.6.2.4 |
//! | Physical Sector Size | 4 | 512 or 4096 | § 2.6.2.5 |
//! | Parent Locator | – | type, count, and keys and values in UTF-16 | § 2.6.2.6 |

use uuid::{Uuid, uuid};

/// Everything but what is within the header section starts at a multiple of this, in bytes. § 2.1.
pub(crate) const ALIGN: u64 = 1 << 20;

/// Signature of the file type identifier.
pub(crate) const FILE_SIGNATURE: [u8; 8] = *b"vhdxfile";
/// Where the file type identifier has the name of the program that made the file: UTF-16.
pub(crate) const CREATOR_AT: usize = FILE_SIGNATURE.len();
/// Bytes of that name.
pub(crate) const CREATOR_LEN: usize = 512;

/// Where the two headers are.
pub(crate) const HEADERS_AT: [u64; 2] = [64 << 10, 128 << 10];
/// Bytes of a header.
pub(crate) const HEADER_LEN: usize = 4096;
/// Signature of a header.
pub(crate) const HEADER_SIGNATURE: [u8; 4] = *b"head";
/// Where every structure with a checksum has it.
pub(crate) const CHECKSUM_AT: usize = 4;
/// See the table of a header.
pub(crate) const SEQUENCE_NUMBER_AT: usize = 8;
/// See the table of a header.
pub(crate) const FILE_WRITE_GUID_AT: usize = 16;
/// See the table of a header.
pub(crate) const DATA_WRITE_GUID_AT: usize = 32;
/// See the table of a header.
pub(crate) const LOG_GUID_AT: usize = 48;
/// See the table of a header.
pub(crate) const LOG_VERSION_AT: usize = 64;
/// See the table of a header.
pub(crate) const VERSION_AT: usize = 66;
/// See the table of a header.
pub(crate) const LOG_LENGTH_AT: usize = 68;
/// See the table of a header.
pub(crate) const LOG_OFFSET_AT: usize = 72;
/// The only version of the format.
pub(crate) const VERSION: u16 = 1;
/// The only version of its log.
pub(crate) const LOG_VERSION: u16 = 0;

/// Where the two region tables are.
pub(crate) const REGION_TABLES_AT: [u64; 2] = [192 << 10, 256 << 10];
/// Bytes of a region table.
pub(crate) const REGION_TABLE_LEN: usize = 64 << 10;
/// Signature of a region table.
pub(crate) const REGION_SIGNATURE: [u8; 4] = *b"regi";
/// `EntryCount` of a region table.
pub(crate) const REGION_COUNT_AT: usize = 8;
/// Bytes before the first entry.
pub(crate) const REGION_ENTRIES_AT: usize = 16;
/// Bytes of an entry of a region or metadata table.
pub(crate) const ENTRY_LEN: usize = 32;
/// Most entries of a region or metadata table. §§ 2.2.3.1, 2.6.1.1.
pub(crate) const MAX_ENTRIES: usize = 2047;
/// `FileOffset` of a region.
pub(crate) const REGION_OFFSET_AT: usize = 16;
/// `Length` of a region.
pub(crate) const REGION_LENGTH_AT: usize = 24;
/// `Required` of a region.
pub(crate) const REGION_REQUIRED_AT: usize = 28;
/// The block allocation table.
pub(crate) const BAT_REGION: Uuid = uuid!("2dc27766-f623-4200-9d64-115e9bfd4a08");
/// The metadata.
pub(crate) const METADATA_REGION: Uuid = uuid!("8b7ca206-4790-4b9a-b8fe-575f050f886e");

/// Bytes of a sector of the log, and of what a data descriptor replaces.
pub(crate) const LOG_SECTOR_LEN: usize = 4096;
/// Signature of a log entry.
pub(crate) const LOG_SIGNATURE: [u8; 4] = *b"loge";
/// Signature of a data descriptor.
pub(crate) const DATA_DESCRIPTOR: [u8; 4] = *b"desc";
/// Signature of a zero descriptor.
pub(crate) const ZERO_DESCRIPTOR: [u8; 4] = *b"zero";
/// Signature of a data sector.
pub(crate) const DATA_SECTOR: [u8; 4] = *b"data";
/// Bytes of the header of a log entry.
pub(crate) const LOG_HEADER_LEN: usize = 64;
/// Bytes of a descriptor.
pub(crate) const DESCRIPTOR_LEN: usize = 32;
/// See the table of a log entry.
pub(crate) const LOG_ENTRY_LENGTH_AT: usize = 8;
/// See the table of a log entry.
pub(crate) const LOG_TAIL_AT: usize = 12;
/// See the table of a log entry.
pub(crate) const LOG_SEQUENCE_AT: usize = 16;
/// See the table of a log entry.
pub(crate) const LOG_COUNT_AT: usize = 24;
/// See the table of a log entry.
pub(crate) const LOG_ENTRY_GUID_AT: usize = 32;
/// See the table of a log entry.
pub(crate) const LOG_FLUSHED_AT: usize = 48;
/// See the table of a log entry.
pub(crate) const LOG_LAST_AT: usize = 56;
/// The last bytes of the sector that a data descriptor describes.
pub(crate) const TRAILING_AT: usize = 4;
/// The first bytes of the sector that a data descriptor describes; `ZeroLength` of a zero descriptor.
pub(crate) const LEADING_AT: usize = 8;
/// `FileOffset` of a descriptor.
pub(crate) const DESCRIPTOR_OFFSET_AT: usize = 16;
/// `SequenceNumber` of a descriptor.
pub(crate) const DESCRIPTOR_SEQUENCE_AT: usize = 24;
/// `SequenceLow` of a data sector.
pub(crate) const SEQUENCE_LOW_AT: usize = 4092;

/// Bytes of an entry of the block allocation table.
pub(crate) const BAT_ENTRY_LEN: u64 = 8;
/// The state of an entry.
pub(crate) const BAT_STATE_MASK: u64 = 7;
/// The host offset of an entry, which is in MiB from bit 20 on: in bytes.
pub(crate) const BAT_OFFSET_MASK: u64 = !(ALIGN - 1);
/// Sectors of a chunk: the bits of a sector bitmap block, which has 1 MiB. § 2.4.
pub(crate) const CHUNK_SECTORS: u64 = 1 << 23;
/// Bytes of a sector bitmap block. § 2.4.2.
pub(crate) const SECTOR_BITMAP_LEN: u64 = 1 << 20;

/// States of a payload block's entry, § 2.5.1.1, and of a sector bitmap's, § 2.5.1.2.
pub(crate) mod state {
    /// Not stored here.
    pub(crate) const NOT_PRESENT: u64 = 0;
    /// Whatever it was, nobody wants it.
    pub(crate) const UNDEFINED: u64 = 1;
    /// All zeros.
    pub(crate) const ZERO: u64 = 2;
    /// Discarded by the guest.
    pub(crate) const UNMAPPED: u64 = 3;
    /// Discarded by the guest, as files from before the first release say it.
    pub(crate) const UNMAPPED_V095: u64 = 5;
    /// All of it is stored. Also of a sector bitmap that is there.
    pub(crate) const FULLY_PRESENT: u64 = 6;
    /// The sectors whose bits are set are stored, the rest is the parent's.
    pub(crate) const PARTIALLY_PRESENT: u64 = 7;
}

/// Signature of the metadata table.
pub(crate) const METADATA_SIGNATURE: [u8; 8] = *b"metadata";
/// Bytes of the metadata table, before the items.
pub(crate) const METADATA_TABLE_LEN: usize = 64 << 10;
/// `EntryCount` of the metadata table.
pub(crate) const METADATA_COUNT_AT: usize = 10;
/// Bytes before the first entry.
pub(crate) const METADATA_ENTRIES_AT: usize = 32;
/// `Offset` of an item.
pub(crate) const ITEM_OFFSET_AT: usize = 16;
/// `Length` of an item.
pub(crate) const ITEM_LENGTH_AT: usize = 20;
/// Flags of an item.
pub(crate) const ITEM_FLAGS_AT: usize = 24;
/// Most bytes of an item. § 2.6.1.2.
pub(crate) const MAX_ITEM_LEN: u32 = 1 << 20;
/// The item is a user's, in a name space of its own.
pub(crate) const IS_USER: u32 = 1;
/// The item is about the disk, not about the file.
pub(crate) const IS_VIRTUAL_DISK: u32 = 2;
/// Who does not know the item refuses the file.
pub(crate) const IS_REQUIRED: u32 = 4;

/// Block size and two flags.
pub(crate) const FILE_PARAMETERS: Uuid = uuid!("caa16737-fa36-4d43-b3b6-33f0aa44e76b");
/// Guest bytes.
pub(crate) const VIRTUAL_DISK_SIZE: Uuid = uuid!("2fa54224-cd1b-4876-b211-5dbed83bf4b8");
/// The disk's identifier.
pub(crate) const VIRTUAL_DISK_ID: Uuid = uuid!("beca12ab-b2e6-4523-93ef-c309e000c746");
/// Bytes of a sector as the guest addresses it.
pub(crate) const LOGICAL_SECTOR_SIZE: Uuid = uuid!("8141bf1d-a96f-4709-ba47-f233a8faab5f");
/// Bytes of a sector as the guest should write it.
pub(crate) const PHYSICAL_SECTOR_SIZE: Uuid = uuid!("cda348c7-445d-4471-9cc9-e9885251c556");
/// Where the parent is.
pub(crate) const PARENT_LOCATOR: Uuid = uuid!("a8d35f2d-b30b-454d-abf7-d3d84834ab0c");
/// `LeaveBlocksAllocated` of the file parameters: the disk is of the fixed kind.
pub(crate) const LEAVE_BLOCKS_ALLOCATED: u32 = 1;
/// `HasParent` of the file parameters.
pub(crate) const HAS_PARENT: u32 = 2;
/// Smallest block, in bytes. § 2.6.2.1.
pub(crate) const MIN_BLOCK_LEN: u64 = 1 << 20;
/// Largest block, in bytes. § 2.6.2.1.
pub(crate) const MAX_BLOCK_LEN: u64 = 256 << 20;
/// Largest disk, in bytes: 64 TiB. § 2.6.2.2.
pub(crate) const MAX_DISK_LEN: u64 = 64 << 40;

/// `LocatorType` of a parent that is a VHDX file. § 2.6.2.6.3.
pub(crate) const VHDX_LOCATOR: Uuid = uuid!("b04aefb7-d19e-4a81-b789-25b8e9445913");
/// `KeyValueCount` of a parent locator.
pub(crate) const LOCATOR_COUNT_AT: usize = 18;
/// Bytes before the first entry of a parent locator.
pub(crate) const LOCATOR_ENTRIES_AT: usize = 20;
/// Bytes of an entry: `KeyOffset`, `ValueOffset`, and the two lengths in 2 bytes each.
pub(crate) const LOCATOR_ENTRY_LEN: usize = 12;
/// The parent's `DataWriteGuid`.
pub(crate) const PARENT_LINKAGE: &str = "parent_linkage";
/// The parent's name as seen from the child.
pub(crate) const RELATIVE_PATH: &str = "relative_path";
/// The parent's name on a volume that is named by its GUID.
pub(crate) const VOLUME_PATH: &str = "volume_path";
/// The parent's name on a drive.
pub(crate) const ABSOLUTE_WIN32_PATH: &str = "absolute_win32_path";
/// The kind of the identity by which children know their parent.
pub(crate) const DATA_WRITE_GUID: &str = "DataWriteGuid";
