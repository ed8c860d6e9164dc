//! The dynamic disk header.

use imgfmt_core::{Error, Result, Storage, StorageExt};
use uuid::Uuid;

use crate::layout::{
    BLOCK_SIZE_AT, ENTRY_LEN, HEADER_CHECKSUM_AT, HEADER_COOKIE, HEADER_LEN, HEADER_VERSION_AT, LOCATOR_COUNT,
    LOCATOR_DATA_LEN_AT, LOCATOR_LEN, LOCATOR_OFFSET_AT, LOCATOR_SPACE_AT, LOCATORS_AT, MAX_TABLE_ENTRIES_AT,
    NEXT_HEADER_AT, NO_OFFSET, PARENT_ID_AT, PARENT_NAME_AT, PARENT_NAME_LEN, PARENT_TIME_AT, SECTOR_LEN,
    TABLE_OFFSET_AT, VERSION, be_u32, be_u64, checksum, field,
};

/// A header that keeps the rules, except that its checksum may be wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// `Table Offset`.
    pub(crate) table_offset: u64,
    /// `Max Table Entries`.
    pub(crate) max_table_entries: u32,
    /// `Block Size`: a power of two, in bytes.
    pub(crate) block_size: u32,
    /// `Parent Unique ID`.
    pub(crate) parent_id: Uuid,
    /// `Parent Time Stamp`, in seconds since 2000.
    pub(crate) parent_time: u32,
    /// `Parent Unicode Name`, as it lies there.
    pub(crate) parent_name: [u8; PARENT_NAME_LEN],
    /// The parent locators.
    pub(crate) locators: [Locator; LOCATOR_COUNT],
    /// Whether `Checksum` is right.
    pub(crate) checksum_ok: bool,
}

/// A parent locator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Locator {
    /// `Platform Code`.
    pub(crate) code: [u8; 4],
    /// `Platform Data Space`.
    pub(crate) space: u32,
    /// `Platform Data Length`.
    pub(crate) len: u32,
    /// `Platform Data Offset`.
    pub(crate) at: u64,
}

impl Header {
    /// Reads the header at byte `at`.
    pub(crate) fn read(storage: &dyn Storage, at: u64, ignore_checksums: bool) -> Result<Self> {
        let bytes = storage.read_array::<HEADER_LEN>(at)?;
        let header = Self::parse(&bytes).and_then(|header| match header.checksum_ok || ignore_checksums {
            true => Ok(header),
            false => Err(Error::malformed("of the header is not the complement of the sum of its bytes")
                .field("Checksum")
                .at(HEADER_CHECKSUM_AT as u64)),
        });
        header.map_err(|e| {
            let field_at = e.offset().unwrap_or(0);
            e.at(at.saturating_add(field_at))
        })
    }

    /// Checks every rule that the header alone can break, but for its checksum.
    pub(crate) fn parse(bytes: &[u8; HEADER_LEN]) -> Result<Self> {
        if !bytes.starts_with(&HEADER_COOKIE) {
            return Err(Error::malformed("of the header is not \"cxsparse\"").field("Cookie").at(0));
        }
        let version = be_u32::<HEADER_VERSION_AT, HEADER_LEN>(bytes);
        if version >> 16 != VERSION >> 16 {
            let what = format!("is {}.{}, and only 1 is known", version >> 16, version & 0xffff);
            return Err(Error::unsupported(what).field("Header Version").at(HEADER_VERSION_AT as u64));
        }
        let block_size = be_u32::<BLOCK_SIZE_AT, HEADER_LEN>(bytes);
        if u64::from(block_size) < SECTOR_LEN || !block_size.is_power_of_two() {
            let what = format!("is {block_size}, which is no power of two from 512 on");
            return Err(Error::malformed(what).field("Block Size").at(BLOCK_SIZE_AT as u64));
        }
        Ok(Self {
            table_offset: be_u64::<TABLE_OFFSET_AT, HEADER_LEN>(bytes),
            max_table_entries: be_u32::<MAX_TABLE_ENTRIES_AT, HEADER_LEN>(bytes),
            block_size,
            parent_id: Uuid::from_bytes(field::<PARENT_ID_AT, 16, HEADER_LEN>(bytes)),
            parent_time: be_u32::<PARENT_TIME_AT, HEADER_LEN>(bytes),
            parent_name: field::<PARENT_NAME_AT, PARENT_NAME_LEN, HEADER_LEN>(bytes),
            locators: parse_locators(bytes),
            checksum_ok: checksum(bytes, HEADER_CHECKSUM_AT) == be_u32::<HEADER_CHECKSUM_AT, HEADER_LEN>(bytes),
        })
    }

    /// The bytes of the header, with the right checksum.
    pub(crate) fn to_bytes(&self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
        put(0, &HEADER_COOKIE);
        put(NEXT_HEADER_AT, &NO_OFFSET.to_be_bytes());
        put(TABLE_OFFSET_AT, &self.table_offset.to_be_bytes());
        put(HEADER_VERSION_AT, &VERSION.to_be_bytes());
        put(MAX_TABLE_ENTRIES_AT, &self.max_table_entries.to_be_bytes());
        put(BLOCK_SIZE_AT, &self.block_size.to_be_bytes());
        put(PARENT_ID_AT, self.parent_id.as_bytes());
        put(PARENT_TIME_AT, &self.parent_time.to_be_bytes());
        put(PARENT_NAME_AT, &self.parent_name);
        for (index, locator) in self.locators.iter().enumerate() {
            let at = LOCATORS_AT + index * LOCATOR_LEN;
            put(at, &locator.code);
            put(at + LOCATOR_SPACE_AT, &locator.space.to_be_bytes());
            put(at + LOCATOR_DATA_LEN_AT, &locator.len.to_be_bytes());
            put(at + LOCATOR_OFFSET_AT, &locator.at.to_be_bytes());
        }
        let sum = checksum(&bytes, HEADER_CHECKSUM_AT);
        bytes[HEADER_CHECKSUM_AT..HEADER_CHECKSUM_AT + 4].copy_from_slice(&sum.to_be_bytes());
        bytes
    }

    /// How many blocks a disk of `size` bytes has, for which the table has to have room.
    pub(crate) fn blocks(&self, size: u64) -> Result<u64> {
        let blocks = size.div_ceil(u64::from(self.block_size));
        if u64::from(self.max_table_entries) < blocks {
            let what = format!("is {}, but the disk has {blocks} blocks", self.max_table_entries);
            return Err(Error::malformed(what).field("Max Table Entries"));
        }
        Ok(blocks)
    }

    /// Bytes of the table.
    pub(crate) fn table_len(&self) -> u64 {
        u64::from(self.max_table_entries) * ENTRY_LEN
    }
}

/// The parent locators.
fn parse_locators(bytes: &[u8; HEADER_LEN]) -> [Locator; LOCATOR_COUNT] {
    let (entries, _) = bytes[LOCATORS_AT..].as_chunks::<LOCATOR_LEN>();
    std::array::from_fn(|index| Locator {
        code: field::<0, 4, LOCATOR_LEN>(&entries[index]),
        space: be_u32::<LOCATOR_SPACE_AT, LOCATOR_LEN>(&entries[index]),
        len: be_u32::<LOCATOR_DATA_LEN_AT, LOCATOR_LEN>(&entries[index]),
        at: be_u64::<LOCATOR_OFFSET_AT, LOCATOR_LEN>(&entries[index]),
    })
}

#[cfg(test)]
mod tests {
    use imgfmt_core::{ErrorKind, MemoryStorage};

    use super::*;

    fn header() -> Header {
        let mut locators = [Locator::default(); LOCATOR_COUNT];
        locators[7] = Locator { code: *b"W2ru", space: 512, len: 10, at: 4096 };
        Header {
            table_offset: 1536,
            max_table_entries: 20,
            block_size: 2 << 20,
            parent_id: Uuid::from_bytes([3; 16]),
            parent_time: 5,
            parent_name: [6; PARENT_NAME_LEN],
            locators,
            checksum_ok: true,
        }
    }

    #[test]
    fn a_header_says_what_was_written() {
        assert_eq!(Header::parse(&header().to_bytes()).unwrap(), header());
    }

    #[test]
    fn every_broken_rule_names_its_field_and_byte() {
        use ErrorKind::{Malformed, Unsupported};
        let cases: &[(usize, &[u8], ErrorKind, &str, u64)] = &[
            (0, b"C", Malformed, "Cookie", 0),
            (HEADER_VERSION_AT, &[0, 2], Unsupported, "Header Version", 24),
            (BLOCK_SIZE_AT, &[0; 4], Malformed, "Block Size", 32),
            (BLOCK_SIZE_AT, &[0, 0, 1, 0], Malformed, "Block Size", 32),
            (BLOCK_SIZE_AT, &[0, 0, 0, 3], Malformed, "Block Size", 32),
            (BLOCK_SIZE_AT, &[0, 0x30, 0, 0], Malformed, "Block Size", 32),
            (1000, &[1], Malformed, "Checksum", 36),
        ];
        for &(at, poke, kind, name, offset) in cases {
            let mut bytes = header().to_bytes();
            bytes[at..at + poke.len()].copy_from_slice(poke);
            let storage = MemoryStorage::new([&[0; 512][..], &bytes].concat());
            let error = Header::read(&storage, 512, false).unwrap_err();
            assert_eq!((error.kind(), error.field_name(), error.offset()), (kind, Some(name), Some(512 + offset)));
        }
    }

    #[test]
    fn a_table_may_have_more_entries_than_the_disk_has_blocks() {
        assert_eq!(header().blocks(3 << 20).unwrap(), 2);
        assert_eq!(header().blocks(40 << 20).unwrap(), 20);
        assert!(header().blocks((40 << 20) + 1).is_err());
    }
}
