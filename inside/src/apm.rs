//! Apple partition maps: from block 1 on, a block for each partition, with `PM` at its start.
//!
//! | Offset | Size | Entry (Inside Macintosh, Devices, 3) |
//! |-------:|-----:|---|
//! | 0 | 2 | `PM` |
//! | 4 | 4 | blocks of the map |
//! | 8 | 4 | first block |
//! | 12 | 4 | blocks |
//! | 16 | 32 | name |
//! | 48 | 32 | type |
//!
//! All numbers have their big end first. The driver map in block 0 says how long blocks are.

use crate::bytes::{be16, be32, has, text};
use crate::disk::Disk;
use crate::found::{Inside, Partition, Table, TableKind};

/// Takes note of the map of a disk in `inside`, if it has one.
pub(crate) fn read(disk: &Disk<'_>, inside: &mut Inside) {
    let Some(block_len) = block_len(disk.first()) else { return };
    let entry = |number: u32| disk.read_exact(u64::from(number) * block_len, 512).filter(|it| has(it, 0, b"PM\0\0"));
    let Some(first) = entry(1) else { return };
    inside.tables.push(Table {
        kind: TableKind::Apm,
        sector_len: block_len,
        id: None,
        protective: false,
        hybrid: false,
        gpt: None,
    });
    for number in 1..=be32(&first, 4).min(MAX_ENTRIES) {
        let Some(entry) = entry(number) else { break };
        inside.partitions.push(partition(number, &entry, block_len));
    }
}

/// Bytes of a block, as a driver map says.
fn block_len(driver_map: &[u8]) -> Option<u64> {
    let len = be16(driver_map, 2);
    (has(driver_map, 0, b"ER") && len.is_power_of_two() && (512..=4096).contains(&len)).then(|| len.into())
}

/// The partition of an entry.
fn partition(number: u32, entry: &[u8], block_len: u64) -> Partition {
    let type_id = text(entry, 48, 32);
    Partition {
        table: TableKind::Apm,
        number,
        start: u64::from(be32(entry, 8)) * block_len,
        len: u64::from(be32(entry, 12)) * block_len,
        container: type_id == MAP,
        type_id,
        type_name: None,
        id: None,
        name: Some(text(entry, 16, 32)).filter(|name| !name.is_empty()),
        bootable: false,
        attributes: 0,
        signatures: Vec::new(),
    }
}

/// The type of the partition that is the map itself.
const MAP: &str = "Apple_partition_map";
/// Entries at most: not a rule of the map.
const MAX_ENTRIES: u32 = 64;
