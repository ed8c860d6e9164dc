//! The grain directory, and the redundant one where the first is damaged.
//!
//! A small directory is read and checked when the extent is opened. That of a huge disk is read in pages when it is
//! asked for, each mended for itself.

use imgfmt_core::{Error, Limits, Pages, Result, Storage, StorageExt};

use crate::header::{Header, Kind};
use crate::layout::{CAPACITY_AT, GD_OFFSET_AT, byte_of, le_u32s, le_u64s};

/// Where the grain tables are.
#[derive(Debug)]
pub(crate) struct GrainDirectory {
    /// The sector of each table, or 0; each table lies within the file.
    tables: Tables,
    /// How many entries there are.
    count: u64,
    /// Whether any of it is from the redundant directory. Of one that is read in pages, nothing is known.
    pub(crate) redundant_used: bool,
}

/// The entries of a directory.
#[derive(Debug)]
enum Tables {
    /// In memory.
    Held(Box<[u64]>),
    /// Read when they are asked for.
    Paged(Pages<u64, [u64]>),
}

impl GrainDirectory {
    /// Reads the directory that `header`, or the footer, places.
    ///
    /// One that is all zeros, cannot be read, or has an entry outside the file is damaged: what is not sound in it
    /// gives way to what is sound in the redundant directory, since writers keep the two alike.
    pub(crate) fn read(storage: &dyn Storage, header: &Header, limits: &Limits) -> Result<Self> {
        let count = header.table_count();
        Self::check_len(header, limits)?;
        let pages = Pages::within(CACHE_LEN, PAGE_ENTRIES * 8);
        let mut directory = Self { tables: Tables::Paged(pages), count, redundant_used: false };
        if count > MAX_HELD {
            let places = [first_place(header), header.redundant_directory()];
            let len = directory.len(header);
            if !places.into_iter().flatten().any(|sector| ends_within(storage, sector, len)) {
                let what = format!("the directory is {len} bytes, but the file ends at byte {}", storage.len());
                return Err(unreadable(Error::out_of_bounds(what)));
            }
            return Ok(directory);
        }
        let (tables, redundant_used) = read_range(storage, header, 0..count)?;
        directory.tables = Tables::Held(tables);
        directory.redundant_used = redundant_used;
        Ok(directory)
    }

    /// Checks that the directory is no longer than a table may be.
    pub(crate) fn check_len(header: &Header, limits: &Limits) -> Result<()> {
        let len = header.table_count().saturating_mul(header.entry_len());
        Limits::check("capacity", len, limits.metadata_bytes).map_err(|e| e.at(CAPACITY_AT as u64))
    }

    /// The byte at which the table number `index` starts, where there is one.
    pub(crate) fn table(&self, storage: &dyn Storage, header: &Header, index: u64) -> Result<Option<u64>> {
        let sector = match &self.tables {
            Tables::Held(tables) => usize::try_from(index).ok().and_then(|index| tables.get(index)).copied(),
            Tables::Paged(pages) if index < self.count => {
                let (page, slot) = (index / PAGE_ENTRIES, index % PAGE_ENTRIES);
                let first = page * PAGE_ENTRIES;
                let range = first..self.count.min(first + PAGE_ENTRIES);
                let page = pages.get(page, || Ok(read_range(storage, header, range)?.0.into()))?;
                usize::try_from(slot).ok().and_then(|slot| page.get(slot)).copied()
            }
            Tables::Paged(_) => None,
        };
        Ok(sector.filter(|&sector| sector != 0).map(byte_of))
    }

    /// Bytes of the directory in the file.
    pub(crate) fn len(&self, header: &Header) -> u64 {
        self.count * header.entry_len()
    }

    /// Bytes of it that may be kept in memory.
    pub(crate) fn held_len(&self) -> u64 {
        match &self.tables {
            Tables::Held(tables) => tables.len() as u64 * 8,
            Tables::Paged(_) => CACHE_LEN,
        }
    }
}

/// Reads the entries of `range`, mended, and says whether they had to be.
fn read_range(storage: &dyn Storage, header: &Header, range: std::ops::Range<u64>) -> Result<(Box<[u64]>, bool)> {
    let is_sound = |entry: u64| entry != 0 && byte_of(entry).saturating_add(header.table_len()) <= storage.len();
    let first = read_entries(storage, header, header.gd_offset, range.clone()).map_err(unreadable);
    let spare = match header.redundant_directory() {
        Some(at) if !first.as_ref().is_ok_and(|tables| is_whole(tables, is_sound)) => {
            let spare = read_entries(storage, header, at, range.clone());
            spare.ok().filter(|tables| is_whole(tables, is_sound))
        }
        _ => None,
    };
    let (tables, redundant_used) = match (first, spare) {
        (Ok(mut tables), Some(spare)) => {
            let redundant_used = mend(&mut tables, &spare, is_sound);
            (tables, redundant_used)
        }
        (Err(_), Some(tables)) => (tables, true),
        (first, None) => (first?, false),
    };
    check(storage, header, &tables, range.start, is_sound)?;
    Ok((tables, redundant_used))
}

/// Checks that every entry, of which the first is number `first`, is sound or 0.
fn check(
    storage: &dyn Storage,
    header: &Header,
    tables: &[u64],
    first: u64,
    is_sound: impl Fn(u64) -> bool,
) -> Result<()> {
    let Some(index) = tables.iter().position(|&entry| entry != 0 && !is_sound(entry)) else {
        return Ok(());
    };
    let number = first + index as u64;
    let what = format!(
        "entry {number} puts a grain table of {} entries at byte {}, but the file ends at byte {}",
        header.gtes_per_gt,
        byte_of(tables[index]),
        storage.len()
    );
    let at = byte_of(header.gd_offset).saturating_add(number * header.entry_len());
    Err(Error::out_of_bounds(what).field("grain directory").at(at))
}

/// Reads the entries of `range` from the directory at `sector`, as sectors of tables.
fn read_entries(
    storage: &dyn Storage,
    header: &Header,
    sector: u64,
    range: std::ops::Range<u64>,
) -> Result<Box<[u64]>> {
    if sector == 0 {
        return Err(Error::malformed("the header is there, and no grain directory"));
    }
    let start = byte_of(sector).saturating_add(range.start * header.entry_len());
    let len = usize::try_from((range.end - range.start) * header.entry_len()).unwrap_or(usize::MAX);
    let bytes = storage.read_vec(start, len)?;
    match &header.kind {
        Kind::Hosted | Kind::Cowd => Ok(le_u32s(&bytes).iter().map(|&entry| u64::from(entry)).collect()),
        Kind::SeSparse(places) => {
            let table = |(slot, &entry): (u64, &u64)| {
                let placed = |e: Error| e.field("grain directory").at(start + slot * header.entry_len());
                places.table(entry).map_err(placed)
            };
            (0..).zip(&le_u64s(&bytes)).map(table).collect()
        }
    }
}

/// The first directory, where it has a place.
fn first_place(header: &Header) -> Option<u64> {
    Some(header.gd_offset).filter(|&sector| sector != 0)
}

/// Whether `len` bytes from `sector` on are within the file.
fn ends_within(storage: &dyn Storage, sector: u64, len: u64) -> bool {
    byte_of(sector).saturating_add(len) <= storage.len()
}

/// The error of a directory that cannot be read.
fn unreadable(error: Error) -> Error {
    if error.field_name() == Some("grain directory") {
        return error;
    }
    error.context("cannot be read").field("gdOffset").at(GD_OFFSET_AT as u64)
}

/// Whether a directory has an entry at all, and none that points outside the file.
fn is_whole(tables: &[u64], is_sound: impl Fn(u64) -> bool) -> bool {
    tables.iter().any(|&entry| entry != 0) && tables.iter().all(|&entry| entry == 0 || is_sound(entry))
}

/// Replaces entries that are not sound by those of `spare`, which is whole; says whether any changed.
fn mend(tables: &mut [u64], spare: &[u64], is_sound: impl Fn(u64) -> bool) -> bool {
    let mut mended = false;
    for (entry, &spare) in tables.iter_mut().zip(spare) {
        if !is_sound(*entry) && *entry != spare {
            *entry = spare;
            mended = true;
        }
    }
    mended
}

/// Most entries that are read when an extent is opened: 1 TiB in usual grains.
const MAX_HELD: u64 = 32 << 10;
/// Entries of a page.
const PAGE_ENTRIES: u64 = 4096;
/// Bytes of pages in memory: as many pages as workers are likely to be in at once.
const CACHE_LEN: u64 = 256 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_of_zeros_is_not_whole() {
        let is_sound = |entry: u64| (1..100).contains(&entry);
        assert!(is_whole(&[0, 7], is_sound));
        assert!(!is_whole(&[0, 0], is_sound) && !is_whole(&[7, 100], is_sound) && !is_whole(&[], is_sound));
    }

    #[test]
    fn only_entries_that_are_not_sound_are_mended() {
        let is_sound = |entry: u64| (1..100).contains(&entry);
        let mut tables = [5, 0, 500, 0, 500];
        assert!(mend(&mut tables, &[6, 7, 8, 0, 0], is_sound));
        assert_eq!(tables, [5, 7, 8, 0, 0]);
        assert!(!mend(&mut tables, &[9, 9, 9, 0, 0], is_sound));
    }
}
