//! The grains of a sparse extent: their tables, and where new ones go.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use imgfmt_core::{Error, Limits, Medium, Result, SourceId, StorageExt};

use super::end::used_sectors;
use super::free::FreeRuns;
use crate::header::Header;
use crate::layout::{ENTRY_LEN, Flags, SECTOR_LEN, UNCLEAN_SHUTDOWN_AT, ZEROED_ENTRY, byte_of, le_u32s};
use crate::sparse::SparseExtent;

/// A sparse extent that is being edited.
pub(super) struct Grains {
    /// Its file.
    pub(super) medium: Arc<dyn Medium>,
    /// The number of the file among the sources of the disk.
    pub(super) source: SourceId,
    /// Its header.
    pub(super) header: Header,
    /// Guest bytes.
    pub(super) size: u64,
    /// The grain directory.
    pub(super) first: Vec<u32>,
    /// The redundant one.
    pub(super) spare: Option<Vec<u32>>,
    /// Grain tables in memory.
    pub(super) tables: BTreeMap<u64, Table>,
    /// Tables that have a place, to which no directory on the medium may lead yet.
    pub(super) unlinked: Vec<u64>,
    /// Grains that no table in memory leads to, while one on the medium may.
    pub(super) freed: Vec<u32>,
    /// Whole grains of zeros that no table leads to.
    pub(super) free: FreeRuns,
    /// The sector at which the next grain goes, where none is free.
    pub(super) end: u64,
    /// The sector of the last grain, where it is stored only as far as the disk goes, so that behind it is something else.
    pub(super) short_last: Option<u32>,
    /// Whether the header says that the extent is being changed.
    pub(super) begun: bool,
}

/// A grain table in memory.
pub(super) struct Table {
    /// Its entries.
    pub(super) entries: Box<[u32]>,
    /// Whether the medium has others.
    pub(super) dirty: bool,
}

/// What an entry says of a grain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grain {
    /// Nothing is stored.
    Absent,
    /// It is zeros.
    Zeroed,
    /// It is at this sector.
    Stored(u32),
}

impl Grains {
    /// The grains of `sparse`, which is sound.
    pub(super) fn open(
        medium: Arc<dyn Medium>,
        source: SourceId,
        sparse: &SparseExtent,
        limits: &Limits,
    ) -> Result<Self> {
        let header = sparse.header;
        let len = limits.table_len("capacity", header.table_count(), ENTRY_LEN)?;
        let read = |sector: u64| Ok::<_, Error>(le_u32s(&medium.read_vec(byte_of(sector), len)?).into_vec());
        let first = read(header.gd_offset)?;
        let spare = header.redundant_directory().map(read).transpose()?;
        let end = match medium.kept_len() {
            Some(_) => used_sectors(medium.as_ref(), &header, &first, spare.as_deref())?,
            None => medium.len().div_ceil(SECTOR_LEN),
        };
        let end = end.next_multiple_of(header.grain_size);
        Ok(Self {
            medium,
            source,
            header,
            size: sparse.size(),
            first,
            spare,
            tables: BTreeMap::new(),
            unlinked: Vec::new(),
            freed: Vec::new(),
            free: FreeRuns::default(),
            end,
            short_last: None,
            begun: false,
        })
    }

    /// Bytes of both directories in memory.
    pub(super) fn directory_len(&self) -> u64 {
        (self.first.len() as u64 + self.spare.as_ref().map_or(0, Vec::len) as u64) * ENTRY_LEN
    }

    /// How many grains there are.
    pub(super) fn count(&self) -> u64 {
        self.size.div_ceil(self.header.grain_len())
    }

    /// The guest bytes of grain number `grain`, which ends with the disk.
    pub(super) fn range_of(&self, grain: u64) -> Range<u64> {
        let start = grain * self.header.grain_len();
        start..(start + self.header.grain_len()).min(self.size)
    }

    /// Sectors of a grain table.
    pub(super) fn table_sectors(&self) -> u64 {
        self.header.table_len().div_ceil(SECTOR_LEN)
    }

    /// Whether an entry can say that a grain is zeros.
    pub(super) fn has_zeroed(&self) -> bool {
        self.header.flags.has(Flags::ZEROED_GRAINS)
    }

    /// What the tables say of grain number `grain`.
    pub(super) fn get(&mut self, grain: u64) -> Result<Grain> {
        let (index, slot) = self.place_of(grain);
        let entry = self.table(index)?.entries.get(slot).copied().unwrap_or(0);
        Ok(match entry {
            0 => Grain::Absent,
            ZEROED_ENTRY if self.has_zeroed() => Grain::Zeroed,
            sector => Grain::Stored(sector),
        })
    }

    /// How many grains of the same table, from `grain` on, are not stored: of most tables of a large disk, all.
    pub(super) fn absent_run(&mut self, grain: u64) -> Result<u64> {
        let (index, slot) = self.place_of(grain);
        let entries = self.table(index)?.entries.get(slot..).unwrap_or_default();
        let run = entries.iter().position(|entry| *entry != 0).unwrap_or(entries.len()) as u64;
        Ok(run.min(self.count().saturating_sub(grain)))
    }

    /// Makes the tables say `what` of grain number `grain`; the medium follows when it is flushed.
    pub(super) fn set(&mut self, grain: u64, what: Grain) -> Result<()> {
        let entry = match what {
            Grain::Absent => 0,
            Grain::Zeroed => ZEROED_ENTRY,
            Grain::Stored(sector) => sector,
        };
        let (index, slot) = self.place_of(grain);
        let table = self.table(index)?;
        if let Some(place) = table.entries.get_mut(slot).filter(|place| **place != entry) {
            *place = entry;
            table.dirty = true;
        }
        Ok(())
    }

    /// The table and the slot of grain number `grain`.
    fn place_of(&self, grain: u64) -> (u64, usize) {
        let per_table = u64::from(self.header.gtes_per_gt);
        (grain / per_table, usize::try_from(grain % per_table).unwrap_or(usize::MAX))
    }

    /// Whether table number `index` is known to have no entries, without a look at it.
    pub(super) fn is_empty_table(&self, index: u64) -> bool {
        let placed = usize::try_from(index).ok().and_then(|index| self.first.get(index)).copied();
        placed.unwrap_or(0) == 0 && !self.tables.contains_key(&index)
    }

    /// Table number `index`.
    pub(super) fn table(&mut self, index: u64) -> Result<&mut Table> {
        if !self.tables.contains_key(&index) {
            self.make_room()?;
            let entries = self.read_table(index)?;
            self.tables.insert(index, Table { entries, dirty: false });
        }
        self.tables.get_mut(&index).ok_or_else(|| Error::malformed("a grain table went away while it was looked at"))
    }

    /// The entries of table number `index` on the medium; beyond the end of the disk there are none.
    fn read_table(&self, index: u64) -> Result<Box<[u32]>> {
        let count = usize::try_from(self.header.gtes_per_gt).unwrap_or(0);
        let placed = usize::try_from(index).ok().and_then(|index| self.first.get(index)).copied();
        let Some(sector) = placed.filter(|&sector| sector != 0) else {
            return Ok(vec![0; count].into());
        };
        let len = usize::try_from(self.header.table_len()).unwrap_or(usize::MAX);
        let mut entries = le_u32s(&self.medium.read_vec(byte_of(u64::from(sector)), len)?);
        let left = self.count().saturating_sub(index * u64::from(self.header.gtes_per_gt));
        entries.iter_mut().skip(usize::try_from(left).unwrap_or(usize::MAX)).for_each(|entry| *entry = 0);
        Ok(entries)
    }

    /// Makes room for another table in memory.
    fn make_room(&mut self) -> Result<()> {
        if self.tables.len() < MAX_TABLES {
            return Ok(());
        }
        if self.tables.values().all(|table| table.dirty) {
            self.flush()?;
        }
        self.tables.retain(|_, table| table.dirty);
        Ok(())
    }

    /// A place for a grain, where there are zeros.
    pub(super) fn allocate(&mut self) -> Result<u32> {
        match self.free.take(self.header.grain_size).and_then(|sector| u32::try_from(sector).ok()) {
            Some(sector) => Ok(sector),
            None => self.append(self.header.grain_size),
        }
    }

    /// A place of `sectors` of zeros at the end of the file, or behind all that is in use on a medium that goes on.
    pub(super) fn append(&mut self, sectors: u64) -> Result<u32> {
        let end = self.end + sectors.next_multiple_of(self.header.grain_size);
        let placed = u32::try_from(self.end).ok().filter(|_| end <= u64::from(u32::MAX));
        let sector = placed.ok_or_else(|| {
            Error::limit(format!("the file would grow to {} bytes, and entries end before", byte_of(end)))
        })?;
        self.medium.set_len(byte_of(end))?;
        if self.medium.kept_len().is_some() {
            self.medium.clear(byte_of(self.end)..byte_of(end))?;
        }
        self.end = end;
        Ok(sector)
    }

    /// Gives up the grain at `sector`, as soon as no table on the medium leads to it.
    pub(super) fn give_up(&mut self, sector: u32) -> Result<()> {
        if self.short_last != Some(sector) {
            self.freed.push(sector);
            return Ok(());
        }
        // Its place is not long enough to be used again.
        self.flush_tables()?;
        self.clear_grain(sector)
    }

    /// Makes the grain at `sector`, which no table leads to, zeros, and its place free.
    pub(super) fn clear_grain(&mut self, sector: u32) -> Result<()> {
        let start = byte_of(u64::from(sector));
        if self.short_last == Some(sector) {
            let last = self.range_of(self.count().saturating_sub(1));
            self.medium.clear(start..start + (last.end - last.start))?;
            self.short_last = None;
            return Ok(());
        }
        self.medium.clear(start..start + self.header.grain_len())?;
        self.free.add(u64::from(sector), self.header.grain_size);
        Ok(())
    }

    /// Marks the extent as one that is being changed.
    pub(super) fn begin(&mut self) -> Result<()> {
        if !self.begun {
            self.medium.write_at(&[1], UNCLEAN_SHUTDOWN_AT as u64)?;
            self.medium.sync()?;
            self.begun = true;
        }
        Ok(())
    }

    /// Marks the extent as one that is not being changed, now that everything is on the medium.
    pub(super) fn close(&mut self) -> Result<()> {
        if !self.begun {
            return Ok(());
        }
        if let Some(start) = self.free.take_end(self.end) {
            // Behind it, there may be less than a grain.
            self.end = start.next_multiple_of(self.header.grain_size);
            self.medium.set_len(byte_of(self.end))?;
            self.medium.sync()?;
        }
        self.medium.write_at(&[0], UNCLEAN_SHUTDOWN_AT as u64)?;
        self.medium.sync()?;
        self.begun = false;
        Ok(())
    }
}

/// Grain tables in memory: 512 KiB, or 4 MiB where they are as long as they can be.
const MAX_TABLES: usize = 256;
