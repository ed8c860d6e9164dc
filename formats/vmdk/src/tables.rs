//! Grain tables, and those of them that are kept in memory.

use std::sync::{Arc, Mutex, PoisonError};

use imgfmt_core::{Error, Result, Storage, StorageExt};

use crate::header::{Header, Kind};
use crate::layout::{ZEROED_ENTRY, le_u32s, le_u64s};
use crate::sesparse::{self, Places};

/// A grain table.
#[derive(Debug, Default)]
pub(crate) struct GrainTable {
    /// The entry of each grain; none where no grain is stored.
    pub(crate) entries: Box<[u64]>,
    /// For each grain of a compressed extent, the sectors up to the next grain of this table in the file,
    /// where that lies behind it; else 0. Empty where nothing is compressed.
    ///
    /// It depends on the table alone, so that a grain is the same whatever range it was asked for in.
    room: Box<[u32]>,
}

impl GrainTable {
    /// Reads the table at byte `at` of an extent with this header.
    pub(crate) fn read(storage: &dyn Storage, at: u64, header: &Header) -> Result<Self> {
        let len = usize::try_from(header.table_len()).unwrap_or(usize::MAX);
        let bytes = storage.read_vec(at, len)?;
        if let Kind::SeSparse(places) = &header.kind {
            return Ok(Self { entries: translated(places, &bytes, at)?, room: Box::default() });
        }
        let entries = le_u32s(&bytes);
        let room = if header.compressed { room_of(&entries) } else { Box::default() };
        Ok(Self { entries: entries.iter().map(|&entry| u64::from(entry)).collect(), room })
    }

    /// Sectors that the grain number `slot` has in the file, where the table tells.
    pub(crate) fn room(&self, slot: usize) -> Option<u32> {
        self.room.get(slot).copied().filter(|&sectors| sectors != 0)
    }
}

/// The entries of a space-efficient extent's table at byte `at`, as other kinds have them.
fn translated(places: &Places, bytes: &[u8], at: u64) -> Result<Box<[u64]>> {
    let entries = le_u64s(bytes);
    let translate = |(slot, &entry): (u64, &u64)| {
        let placed = |e: Error| e.field("grain table").at(at.saturating_add(slot * sesparse::ENTRY_LEN));
        places.grain(entry).map_err(placed)
    };
    (0..).zip(&entries).map(translate).collect()
}

/// The room of every entry.
fn room_of(entries: &[u32]) -> Box<[u32]> {
    let mut room = vec![0; entries.len()].into_boxed_slice();
    let mut next = 0_u32;
    for (room, &entry) in room.iter_mut().zip(entries).rev() {
        if entry > ZEROED_ENTRY {
            *room = next.saturating_sub(entry);
            next = entry;
        }
    }
    room
}

/// Tables that were asked for last, of all extents of a disk.
#[derive(Debug)]
pub(crate) struct TableCache {
    /// A table goes to the slot that its key says, and replaces what is there.
    slots: Box<[Mutex<Slot>]>,
}

/// A table in memory, and which it is.
type Slot = Option<(TableKey, Arc<GrainTable>)>;

/// Which table: the number of its extent, and its own number there.
pub(crate) type TableKey = (usize, u64);

impl TableCache {
    /// A cache of nothing yet.
    pub(crate) fn new() -> Self {
        Self { slots: (0..SLOTS).map(|_| Mutex::default()).collect() }
    }

    /// The table called `key`, from memory or by `read`.
    ///
    /// Two threads may read the same table at once; no lock is held meanwhile.
    pub(crate) fn get(&self, key: TableKey, read: impl FnOnce() -> Result<GrainTable>) -> Result<Arc<GrainTable>> {
        let slot = &self.slots[usize::try_from(key.1 % SLOTS).unwrap_or(0)];
        // What is in a slot is whole at any time, so a thread that panicked elsewhere does no harm.
        if let Some((held, table)) = &*slot.lock().unwrap_or_else(PoisonError::into_inner)
            && *held == key
        {
            return Ok(Arc::clone(table));
        }
        let table = Arc::new(read()?);
        *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some((key, Arc::clone(&table)));
        Ok(table)
    }
}

/// Tables in memory: 2 GiB of guest bytes in usual images, for half a MiB.
const SLOTS: u64 = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_ends_at_the_next_stored_grain_behind() {
        assert_eq!(*room_of(&[10, 0, 14, 1, 12, 0, 30, 0]), [4, 0, 0, 0, 18, 0, 0, 0]);
        assert!(room_of(&[]).is_empty());
    }

    #[test]
    fn a_table_is_read_once_and_one_that_cannot_be_read_is_an_error() {
        let cache = TableCache::new();
        let table = || Ok(GrainTable { entries: [7; 4].into(), room: Box::default() });
        assert_eq!((*cache.get((0, 3), table).unwrap().entries).len(), 4);
        assert!(cache.get((0, 3), || unreachable!("it is in memory")).is_ok());
        assert!(cache.get((1, 3), || Err(Error::malformed("it is cut"))).is_err());
        assert!(cache.get((1, 3), table).is_ok());
    }
}
