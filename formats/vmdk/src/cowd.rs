//! ESX sparse extents of the old kind. VMware, "Virtual Disk Format 5.0", "ESX Server Sparse Extents".
//!
//! The header, `COWDisk_Header`, is 4 sectors. Places and sizes are in sectors.
//!
//! | Offset | Size | Field             | Rule                                                       |
//! |-------:|-----:|-------------------|------------------------------------------------------------|
//! |      0 |    4 | `magicNumber`     | `"COWD"`                                                   |
//! |      4 |    4 | `version`         | 1                                                          |
//! |      8 |    4 | `flags`           | 3 as written; bit 2 says that the extent is inconsistent   |
//! |     12 |    4 | `numSectors`      | the capacity, not 0                                        |
//! |     16 |    4 | `grainSize`       | a power of two; 1 as written                               |
//! |     20 |    4 | `gdOffset`        | behind the header                                          |
//! |     24 |    4 | `numGDEntries`    | enough for the capacity                                    |
//! |     28 |    4 | `freeSector`      | shown nowhere: where the next grain would go               |
//! |     32 | 1028 | root or child     | geometry, or the parent's name: the descriptor has both    |
//! |   1648 |    4 | `uncleanShutdown` | not 0: in use when its host stopped                        |
//!
//! The directory has an entry of 4 bytes for every 4096 grains, a table one for every grain, as in hosted extents:
//! a sector, or 0 for what is the parent's.

use imgfmt_core::{Error, Limits, Result};

use crate::header::{Header, Kind, malformed};
use crate::layout::{Flags, MAX_GRAIN_SIZE, SECTOR_LEN, le_u32};

/// Bytes of the header.
pub(crate) const HEADER_LEN: usize = 2048;
/// Place of `version`.
const VERSION_AT: usize = 4;
/// Place of `flags`.
const FLAGS_AT: usize = 8;
/// Place of `numSectors`.
pub(crate) const NUM_SECTORS_AT: usize = 12;
/// Place of `grainSize`.
const GRAIN_SIZE_AT: usize = 16;
/// Place of `gdOffset`.
const GD_OFFSET_AT: usize = 20;
/// Place of `numGDEntries`.
const NUM_GD_ENTRIES_AT: usize = 24;
/// Place of `uncleanShutdown`.
const UNCLEAN_SHUTDOWN_AT: usize = 1648;
/// Entries of a grain table. "ESX Server Sparse Extents".
const GTES_PER_GT: u32 = 4096;
/// The bit of `flags` of an extent that was not closed in an orderly way.
const FLAG_INCONSISTENT: u32 = 1 << 2;

/// Checks the header, whose magic number has been seen.
pub(crate) fn parse(bytes: &[u8; HEADER_LEN], limits: &Limits) -> Result<Header> {
    let version = le_u32::<VERSION_AT, HEADER_LEN>(bytes);
    if version != 1 {
        let what = format!("is {version}; only 1 is known of this kind");
        return Err(Error::unsupported(what).field("version").at(VERSION_AT as u64));
    }
    let capacity = u64::from(le_u32::<NUM_SECTORS_AT, HEADER_LEN>(bytes));
    if capacity == 0 {
        return Err(malformed("numSectors", NUM_SECTORS_AT, "is 0"));
    }
    Limits::check("numSectors", capacity, limits.virtual_size / SECTOR_LEN).map_err(|e| e.at(NUM_SECTORS_AT as u64))?;
    let grain_size = u64::from(le_u32::<GRAIN_SIZE_AT, HEADER_LEN>(bytes));
    if !grain_size.is_power_of_two() {
        return Err(malformed("grainSize", GRAIN_SIZE_AT, format!("is {grain_size}, no power of two")));
    }
    Limits::check("grainSize", grain_size, MAX_GRAIN_SIZE).map_err(|e| e.at(GRAIN_SIZE_AT as u64))?;
    let gd_offset = u64::from(le_u32::<GD_OFFSET_AT, HEADER_LEN>(bytes));
    if gd_offset < HEADER_LEN as u64 / SECTOR_LEN {
        return Err(malformed("gdOffset", GD_OFFSET_AT, format!("is {gd_offset}, where the header itself is")));
    }
    let inconsistent = le_u32::<FLAGS_AT, HEADER_LEN>(bytes) & FLAG_INCONSISTENT != 0;
    let header = Header {
        kind: Kind::Cowd,
        version,
        // None of the bits that a hosted extent has.
        flags: Flags(0),
        capacity,
        grain_size,
        descriptor_offset: 0,
        descriptor_size: 0,
        gtes_per_gt: GTES_PER_GT,
        rgd_offset: 0,
        gd_offset,
        overhead: 0,
        unclean: inconsistent || le_u32::<UNCLEAN_SHUTDOWN_AT, HEADER_LEN>(bytes) != 0,
        compressed: false,
    };
    let entries = u64::from(le_u32::<NUM_GD_ENTRIES_AT, HEADER_LEN>(bytes));
    if entries < header.table_count() {
        let what = format!("is {entries}, where the capacity needs {}", header.table_count());
        return Err(malformed("numGDEntries", NUM_GD_ENTRIES_AT, what));
    }
    Ok(header)
}

#[cfg(test)]
mod tests {
    use imgfmt_core::ErrorKind;

    use super::*;

    /// 10 MiB in grains of a sector.
    fn bytes() -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        bytes[..4].copy_from_slice(b"COWD");
        for (at, value) in [(4, 1), (8, 3), (12, 20_480), (16, 1), (20, 4), (24, 5), (28, 9)] {
            bytes[at..at + 4].copy_from_slice(&u32::to_le_bytes(value));
        }
        bytes
    }

    #[test]
    fn a_header_says_what_it_says() {
        let header = parse(&bytes(), &Limits::default()).unwrap();
        assert_eq!((header.capacity, header.grain_len(), header.table_count()), (20_480, 512, 5));
        assert!(!header.unclean && !header.compressed);
    }

    #[test]
    fn every_broken_rule_names_its_field_and_byte() {
        for (at, value, field) in [
            (4, 2, "version"),
            (12, 0, "numSectors"),
            (16, 0, "grainSize"),
            (16, 3, "grainSize"),
            (16, 1 << 31, "grainSize"),
            (20, 3, "gdOffset"),
            (24, 4, "numGDEntries"),
        ] {
            let mut bytes = bytes();
            bytes[at..at + 4].copy_from_slice(&u32::to_le_bytes(value));
            let error = parse(&bytes, &Limits::default()).unwrap_err();
            assert_eq!((error.field_name(), error.offset()), (Some(field), Some(at as u64)));
            assert_ne!(error.kind(), ErrorKind::Invalid);
        }
    }
}
