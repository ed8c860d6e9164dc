//! Space-efficient sparse extents of ESX. Not in VMware's specification; the layout is what those who read it agree on.
//!
//! The constant header is sector 0, numbers are of 8 bytes and little-endian, places and sizes are in sectors.
//!
//! | Offset | Field                    | Rule                                              |
//! |-------:|--------------------------|---------------------------------------------------|
//! |      0 | `magic`                  | 0xcafebabe                                        |
//! |      8 | `version`                | 0x2_0000_0001                                     |
//! |     16 | `capacity`               | not 0                                             |
//! |     24 | `grain_size`             | 8                                                 |
//! |     32 | `grain_table_size`       | 64: 4096 entries                                  |
//! |     40 | `flags`                  | 0                                                 |
//! |     80 | `volatile_header_offset` | and its size at 88                                |
//! |    128 | `grain_dir_offset`       | and its size at 136, enough for the capacity      |
//! |    144 | `grain_tables_offset`    | and the size of all tables at 152                 |
//! |    192 | `grains_offset`          | and the size of all grains at 200                 |
//!
//! The volatile header has the magic 0xcafecafe at 0, and at 24 whether the journal has to be replayed first.
//!
//! | Entry of    | Top 4 bits | Means                                                                              |
//! |-------------|-----------:|------------------------------------------------------------------------------------|
//! | a directory |          0 | all of it 0: none of the table's grains is stored                                    |
//! |             |          1 | the table with the number in the low 32 bits; the rest is 0                         |
//! | a table     |          0 | all of it 0: the parent's                                                           |
//! |             |       1, 2 | zeros: unmapped by the guest, or written as zeros                                   |
//! |             |          3 | the grain whose number is bits 0–47, times 4096, plus bits 48–59                    |

use imgfmt_core::{Error, Limits, Result, Storage, StorageExt};

use crate::header::{Header, Kind, malformed};
use crate::layout::{Flags, HEADER_LEN, SECTOR_LEN, ZEROED_ENTRY, byte_of, le_u64};

/// Place of `version`.
const VERSION_AT: usize = 8;
/// Place of `capacity`.
pub(crate) const CAPACITY_AT: usize = 16;
/// Place of `grain_size`.
const GRAIN_SIZE_AT: usize = 24;
/// Place of `grain_table_size`.
const GRAIN_TABLE_SIZE_AT: usize = 32;
/// Place of `flags`.
const FLAGS_AT: usize = 40;
/// Place of `volatile_header_offset`.
const VOLATILE_HEADER_OFFSET_AT: usize = 80;
/// Place of `grain_dir_offset`.
const GRAIN_DIR_OFFSET_AT: usize = 128;
/// Place of `grain_dir_size`.
const GRAIN_DIR_SIZE_AT: usize = 136;
/// Place of `grain_tables_offset`.
const GRAIN_TABLES_OFFSET_AT: usize = 144;
/// Place of `grain_tables_size`.
const GRAIN_TABLES_SIZE_AT: usize = 152;
/// Place of `grains_offset`.
const GRAINS_OFFSET_AT: usize = 192;
/// Place of `replay_journal` in the volatile header.
const REPLAY_JOURNAL_AT: usize = 24;

/// The only `version` that is known.
const VERSION: u64 = 0x2_0000_0001;
/// The only `grain_size`.
const GRAIN_SIZE: u64 = 8;
/// The only `grain_table_size`.
const GRAIN_TABLE_SIZE: u64 = 64;
/// Entries of a grain table.
const GTES_PER_GT: u32 = 4096;
/// Magic number of the volatile header.
const VOLATILE_MAGIC: u64 = 0xcafe_cafe;
/// Bytes of an entry of a directory or table.
pub(crate) const ENTRY_LEN: u64 = 8;

/// Where an extent keeps what only this kind has, in sectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Places {
    /// The volatile header.
    volatile_header: u64,
    /// The first grain table.
    tables: u64,
    /// Sectors of all grain tables.
    tables_size: u64,
    /// The first grain.
    grains: u64,
}

/// Checks the constant header, whose magic number has been seen.
pub(crate) fn parse(bytes: &[u8; HEADER_LEN], limits: &Limits) -> Result<Header> {
    let fixed = [
        ("version", VERSION_AT, le_u64::<VERSION_AT, HEADER_LEN>(bytes), VERSION),
        ("grain_size", GRAIN_SIZE_AT, le_u64::<GRAIN_SIZE_AT, HEADER_LEN>(bytes), GRAIN_SIZE),
        ("grain_table_size", GRAIN_TABLE_SIZE_AT, le_u64::<GRAIN_TABLE_SIZE_AT, HEADER_LEN>(bytes), GRAIN_TABLE_SIZE),
        ("flags", FLAGS_AT, le_u64::<FLAGS_AT, HEADER_LEN>(bytes), 0),
    ];
    for (field, at, found, known) in fixed {
        if found != known {
            let what = format!("is {found:#x}; only {known:#x} is known");
            return Err(Error::unsupported(what).field(field).at(at as u64));
        }
    }
    let capacity = le_u64::<CAPACITY_AT, HEADER_LEN>(bytes);
    if capacity == 0 {
        return Err(malformed("capacity", CAPACITY_AT, "is 0"));
    }
    let most = limits.virtual_size.min(i64::MAX as u64) / SECTOR_LEN;
    Limits::check("capacity", capacity, most).map_err(|e| e.at(CAPACITY_AT as u64))?;
    let places = Places {
        volatile_header: le_u64::<VOLATILE_HEADER_OFFSET_AT, HEADER_LEN>(bytes),
        tables: le_u64::<GRAIN_TABLES_OFFSET_AT, HEADER_LEN>(bytes),
        tables_size: le_u64::<GRAIN_TABLES_SIZE_AT, HEADER_LEN>(bytes),
        grains: le_u64::<GRAINS_OFFSET_AT, HEADER_LEN>(bytes),
    };
    let gd_offset = le_u64::<GRAIN_DIR_OFFSET_AT, HEADER_LEN>(bytes);
    // Grains start behind sector 1 too: as a place, that would be the entry for zeros.
    for (field, at, sector, least) in [
        ("volatile_header_offset", VOLATILE_HEADER_OFFSET_AT, places.volatile_header, 1),
        ("grain_dir_offset", GRAIN_DIR_OFFSET_AT, gd_offset, 1),
        ("grain_tables_offset", GRAIN_TABLES_OFFSET_AT, places.tables, 1),
        ("grains_offset", GRAINS_OFFSET_AT, places.grains, 2),
    ] {
        if sector < least {
            return Err(malformed(field, at, format!("is {sector}, where headers are")));
        }
    }
    let header = Header {
        kind: Kind::SeSparse(places),
        version: 1,
        flags: Flags::ZEROED_GRAINS,
        capacity,
        grain_size: GRAIN_SIZE,
        descriptor_offset: 0,
        descriptor_size: 0,
        gtes_per_gt: GTES_PER_GT,
        rgd_offset: 0,
        gd_offset,
        overhead: places.grains,
        unclean: false,
        compressed: false,
    };
    let directory_size = le_u64::<GRAIN_DIR_SIZE_AT, HEADER_LEN>(bytes);
    if byte_of(directory_size) < header.table_count().saturating_mul(ENTRY_LEN) {
        let what = format!("is {directory_size}, too small for the capacity");
        return Err(malformed("grain_dir_size", GRAIN_DIR_SIZE_AT, what));
    }
    Ok(header)
}

impl Places {
    /// Checks that the volatile header asks for nothing that has to be done first.
    pub(crate) fn check_volatile(&self, storage: &dyn Storage) -> Result<()> {
        let at = byte_of(self.volatile_header);
        let bytes = storage.read_array::<HEADER_LEN>(at).map_err(|e| {
            e.context("cannot be read").field("volatile_header_offset").at(VOLATILE_HEADER_OFFSET_AT as u64)
        })?;
        let magic = le_u64::<0, HEADER_LEN>(&bytes);
        if magic != VOLATILE_MAGIC {
            let what = format!("is {magic:#x}, where the volatile header has {VOLATILE_MAGIC:#x}");
            return Err(Error::malformed(what).field("magic").at(at));
        }
        if le_u64::<REPLAY_JOURNAL_AT, HEADER_LEN>(&bytes) != 0 {
            let what = "is set: the extent was not closed in an orderly way, and its journal cannot be replayed here";
            return Err(Error::unsupported(what).field("replay_journal").at(at + REPLAY_JOURNAL_AT as u64));
        }
        Ok(())
    }

    /// The sector of the table that a directory's entry means, or 0.
    pub(crate) fn table(&self, entry: u64) -> Result<u64> {
        if entry == 0 {
            return Ok(0);
        }
        let number = entry & u64::from(u32::MAX);
        let end = (number + 1).saturating_mul(GRAIN_TABLE_SIZE);
        if entry >> 32 != DIRECTORY_ENTRY_TOP || end > self.tables_size {
            return Err(Error::malformed(format!("is {entry:#x}, which is no grain table")));
        }
        Ok(self.tables.saturating_add(number * GRAIN_TABLE_SIZE))
    }

    /// A table's entry as other kinds of extent have it: 0, the entry for zeros, or the sector of a grain.
    pub(crate) fn grain(&self, entry: u64) -> Result<u64> {
        match entry >> 60 {
            0 if entry == 0 => Ok(0),
            1 | 2 => Ok(u64::from(ZEROED_ENTRY)),
            3 => {
                let number = (entry & LOW_48_BITS) << 12 | entry >> 48 & 0xfff;
                Ok(self.grains.saturating_add(number.saturating_mul(GRAIN_SIZE)))
            }
            _ => Err(Error::malformed(format!("is {entry:#x}, which means nothing"))),
        }
    }
}

/// What stands above the number of a table in a directory's entry.
const DIRECTORY_ENTRY_TOP: u64 = 0x1000_0000;
/// The low 48 bits.
const LOW_48_BITS: u64 = (1 << 48) - 1;

#[cfg(test)]
mod tests {
    use imgfmt_core::{ErrorKind, MemoryStorage};

    use super::*;
    use crate::layout::SESPARSE_MAGIC;

    /// 100 MiB.
    fn bytes() -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        bytes[..8].copy_from_slice(&SESPARSE_MAGIC);
        let fields =
            [(8, VERSION), (16, 204_800), (24, 8), (32, 64), (80, 2), (128, 3), (136, 1), (144, 4), (152, 128)];
        for (at, value) in fields.into_iter().chain([(192, 132)]) {
            bytes[at..at + 8].copy_from_slice(&u64::to_le_bytes(value));
        }
        bytes
    }

    fn places() -> Places {
        match parse(&bytes(), &Limits::default()).unwrap().kind {
            Kind::SeSparse(places) => places,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_broken_rule_names_its_field_and_byte() {
        for (at, value, field) in [
            (8, 1, "version"),
            (16, 0, "capacity"),
            (16, u64::MAX, "capacity"),
            (16, 1 << 32, "grain_dir_size"),
            (24, 16, "grain_size"),
            (32, 1, "grain_table_size"),
            (40, 1, "flags"),
            (80, 0, "volatile_header_offset"),
            (128, 0, "grain_dir_offset"),
            (136, 0, "grain_dir_size"),
            (144, 0, "grain_tables_offset"),
            (192, 1, "grains_offset"),
        ] {
            let mut bytes = bytes();
            bytes[at..at + 8].copy_from_slice(&u64::to_le_bytes(value));
            let error = parse(&bytes, &Limits::default()).unwrap_err();
            assert_eq!(error.field_name(), Some(field), "{error}");
        }
    }

    #[test]
    fn entries_mean_what_they_say() {
        let places = places();
        assert_eq!(places.table(0).unwrap(), 0);
        assert_eq!(places.table(0x1000_0000_0000_0001).unwrap(), 4 + 64);
        for wrong in [1, 0x1000_0000_0000_0002, 0x2000_0000_0000_0000, 0x1000_0001_0000_0000] {
            assert_eq!(places.table(wrong).unwrap_err().kind(), ErrorKind::Malformed);
        }
        assert_eq!(places.grain(0).unwrap(), 0);
        assert_eq!((places.grain(0x1 << 60).unwrap(), places.grain(0x2abc << 48).unwrap()), (1, 1));
        assert_eq!(places.grain(0x3005 << 48).unwrap(), 132 + 5 * 8);
        assert_eq!(places.grain(0x3005 << 48 | 2).unwrap(), 132 + (2 * 4096 + 5) * 8);
        assert!(places.grain(1).is_err() && places.grain(0x4 << 60).is_err());
        assert!(places.grain(0x3fff_ffff_ffff_ffff).is_ok(), "far outside, which is for others to see");
    }

    #[test]
    fn a_journal_that_has_to_be_replayed_is_no_extent() {
        let kind_of = |journal: u64, magic: u64| {
            let mut file = vec![0; 2048];
            file[1024..1032].copy_from_slice(&magic.to_le_bytes());
            file[1048..1056].copy_from_slice(&journal.to_le_bytes());
            places().check_volatile(&MemoryStorage::new(file)).err().map(|e| e.kind())
        };
        assert_eq!(kind_of(0, VOLATILE_MAGIC), None);
        assert_eq!(kind_of(1, VOLATILE_MAGIC), Some(ErrorKind::Unsupported));
        assert_eq!(kind_of(0, 0), Some(ErrorKind::Malformed));
    }
}
