//! What has been seen of a stream, to compare its tables and directory with.

use std::collections::{BTreeMap, HashSet};

use imgfmt_core::{Error, Limits, Result};

use crate::header::Header;
use crate::layout::{ENTRY_LEN, Flags, ZEROED_ENTRY, byte_of};

/// Grains and tables that have been seen.
pub(super) struct Seen {
    /// Entries of a grain table.
    gtes_per_gt: u64,
    /// Whether entry 1 is a grain of zeros.
    zeroed: bool,
    /// The number of the last grain.
    last: Option<u64>,
    /// For each table that has not come yet, the sectors of its grains.
    pending: BTreeMap<u64, Box<[u32]>>,
    /// The number of each table with a grain, ascending, and its sector.
    placed: Vec<(u32, u32)>,
    /// The sectors of tables without a grain; which of them they are, only the directory says.
    empty: HashSet<u32>,
}

impl Seen {
    /// Nothing yet of an extent with this header.
    pub(super) fn new(header: &Header) -> Self {
        Self {
            gtes_per_gt: u64::from(header.gtes_per_gt),
            zeroed: header.flags.has(Flags::ZEROED_GRAINS),
            last: None,
            pending: BTreeMap::new(),
            placed: Vec::new(),
            empty: HashSet::new(),
        }
    }

    /// Takes note of grain number `number` at sector `at`.
    pub(super) fn grain(&mut self, number: u64, at: u64, limits: &Limits) -> Result<()> {
        let place = |e: Error| e.at(byte_of(at));
        if let Some(last) = self.last.filter(|&last| last >= number) {
            let what = format!("grain {number} comes behind grain {last}: the stream is not in the order of the disk");
            return Err(place(Error::unsupported(what)));
        }
        let sector = sector_of(at)?;
        self.last = Some(number);
        let (table, slot) = (number / self.gtes_per_gt, number % self.gtes_per_gt);
        if self.placed.last().is_some_and(|&(placed, _)| u64::from(placed) >= table) {
            let what = format!("grain {number} comes behind the table that it belongs to");
            return Err(place(Error::malformed(what)));
        }
        if !self.pending.contains_key(&table) {
            let len = (self.pending.len() as u64 + 1) * self.gtes_per_gt * ENTRY_LEN;
            Limits::check("grain tables that are still to come", len, limits.metadata_bytes).map_err(place)?;
        }
        let len = usize::try_from(self.gtes_per_gt).unwrap_or(0);
        let entries = self.pending.entry(table).or_insert_with(|| vec![0; len].into());
        entries.iter_mut().skip(usize::try_from(slot).unwrap_or(usize::MAX)).take(1).for_each(|entry| *entry = sector);
        Ok(())
    }

    /// Compares the table at sector `at` with the grains of the first one that is still to come.
    pub(super) fn table(&mut self, entries: &[u32], at: u64) -> Result<()> {
        let sector = sector_of(at)?;
        if entries.iter().all(|&entry| self.is_absent(entry)) {
            self.empty.insert(sector);
            return Ok(());
        }
        let wrong = |what: String, slot: usize| {
            Error::malformed(what).field("grain table").at(byte_of(at) + slot as u64 * ENTRY_LEN)
        };
        let Some((table, seen)) = self.pending.pop_first() else {
            return Err(wrong("has entries, where no grain has come since the table before".to_owned(), 0));
        };
        let differs = |(&entry, &seen): (&u32, &u32)| entry != seen && !(seen == 0 && self.is_absent(entry));
        if let Some(slot) = entries.iter().zip(&seen).position(differs) {
            let (entry, seen) = (entries[slot], seen[slot]);
            return Err(wrong(format!("has {entry} for a grain that is at sector {seen} (0: nowhere)"), slot));
        }
        // A directory of more tables than that is not accepted in the first place.
        self.placed.push((u32::try_from(table).unwrap_or(u32::MAX), sector));
        Ok(())
    }

    /// Compares entry `index` of the directory, which is at byte `at`, with the tables.
    pub(super) fn directory_entry(&self, index: u64, entry: u32, at: u64) -> Result<()> {
        let found = self.placed.binary_search_by_key(&index, |&(table, _)| u64::from(table));
        let placed = found.ok().and_then(|found| self.placed.get(found)).map(|&(_, sector)| sector);
        let sound = match placed {
            Some(sector) => entry == sector,
            None => entry == 0 || self.empty.contains(&entry),
        };
        if sound {
            return Ok(());
        }
        let place = placed.map_or_else(|| "nowhere".to_owned(), |sector| format!("at sector {sector}"));
        let what = format!("has {entry} for table {index}, which is {place}");
        Err(Error::malformed(what).field("grain directory").at(at))
    }

    /// Checks, at the directory in sector `at`, that every grain was in a table.
    pub(super) fn check_placed(&self, at: u64) -> Result<()> {
        match self.pending.keys().next() {
            None => Ok(()),
            Some(table) => {
                let what = format!("comes before table {table}, which has grains");
                Err(Error::malformed(what).field("grain directory").at(byte_of(at)))
            }
        }
    }

    /// Whether an entry means that no grain is stored.
    fn is_absent(&self, entry: u32) -> bool {
        entry == 0 || (self.zeroed && entry == ZEROED_ENTRY)
    }
}

/// A sector as entries have it.
fn sector_of(at: u64) -> Result<u32> {
    u32::try_from(at).map_err(|_| Error::malformed("the stream goes on where table entries end").at(byte_of(at)))
}
