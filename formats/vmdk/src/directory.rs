//! The grain directory, and the redundant one where the first is damaged.

use imgfmt_core::{Error, Limits, Result, Storage, StorageExt};

use crate::header::Header;
use crate::layout::{CAPACITY_AT, ENTRY_LEN, GD_OFFSET_AT, byte_of, le_u32s};

/// Where the grain tables are.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct GrainDirectory {
    /// The sector of each table, or 0; each table lies within the file.
    tables: Box<[u32]>,
    /// Whether any of it is from the redundant directory.
    pub(crate) redundant_used: bool,
}

impl GrainDirectory {
    /// Reads the directory that `header`, or the footer, places.
    ///
    /// One that is all zeros, cannot be read, or has an entry outside the file is damaged: what is not sound in it
    /// gives way to what is sound in the redundant directory, since writers keep the two alike.
    pub(crate) fn read(storage: &dyn Storage, header: &Header, limits: &Limits) -> Result<Self> {
        let too_large = |e: Error| e.at(CAPACITY_AT as u64);
        let len = limits.table_len("capacity", header.table_count(), ENTRY_LEN).map_err(too_large)?;
        let table_len = u64::from(header.gtes_per_gt) * ENTRY_LEN;
        let is_sound = |entry: u32| entry != 0 && byte_of(u64::from(entry)).saturating_add(table_len) <= storage.len();
        let first = read_entries(storage, header.gd_offset, len)
            .map_err(|e| e.context("cannot be read").field("gdOffset").at(GD_OFFSET_AT as u64));
        let spare = match header.redundant_directory() {
            Some(at) if !first.as_ref().is_ok_and(|tables| is_whole(tables, is_sound)) => {
                read_entries(storage, at, len).ok().filter(|tables| is_whole(tables, is_sound))
            }
            _ => None,
        };
        let directory = match (first, spare) {
            (Ok(mut tables), Some(spare)) => {
                let redundant_used = mend(&mut tables, &spare, is_sound);
                Self { tables, redundant_used }
            }
            (Err(_), Some(tables)) => Self { tables, redundant_used: true },
            (first, None) => Self { tables: first?, redundant_used: false },
        };
        directory.check(storage, header, is_sound)?;
        Ok(directory)
    }

    /// The byte at which the table number `index` starts, where there is one.
    pub(crate) fn table(&self, index: u64) -> Option<u64> {
        let entry = usize::try_from(index).ok().and_then(|index| self.tables.get(index)).copied();
        entry.filter(|&entry| entry != 0).map(|entry| byte_of(u64::from(entry)))
    }

    /// Bytes of the directory in memory, and in the file.
    pub(crate) fn len(&self) -> u64 {
        self.tables.len() as u64 * ENTRY_LEN
    }

    /// Checks that every entry is sound or 0.
    fn check(&self, storage: &dyn Storage, header: &Header, is_sound: impl Fn(u32) -> bool) -> Result<()> {
        let Some(index) = self.tables.iter().position(|&entry| entry != 0 && !is_sound(entry)) else {
            return Ok(());
        };
        let what = format!(
            "entry {index} puts a grain table of {} entries at byte {}, but the file ends at byte {}",
            header.gtes_per_gt,
            byte_of(u64::from(self.tables[index])),
            storage.len()
        );
        let at = byte_of(header.gd_offset).saturating_add(index as u64 * ENTRY_LEN);
        Err(Error::out_of_bounds(what).field("grain directory").at(at))
    }
}

/// Reads the entries of the directory at `sector`.
fn read_entries(storage: &dyn Storage, sector: u64, len: usize) -> Result<Box<[u32]>> {
    if sector == 0 {
        return Err(Error::malformed("the header is there, and no grain directory"));
    }
    Ok(le_u32s(&storage.read_vec(byte_of(sector), len)?))
}

/// Whether a directory has an entry at all, and none that points outside the file.
fn is_whole(tables: &[u32], is_sound: impl Fn(u32) -> bool) -> bool {
    tables.iter().any(|&entry| entry != 0) && tables.iter().all(|&entry| entry == 0 || is_sound(entry))
}

/// Replaces entries that are not sound by those of `spare`, which is whole; says whether any changed.
fn mend(tables: &mut [u32], spare: &[u32], is_sound: impl Fn(u32) -> bool) -> bool {
    let mut mended = false;
    for (entry, &spare) in tables.iter_mut().zip(spare) {
        if !is_sound(*entry) && *entry != spare {
            *entry = spare;
            mended = true;
        }
    }
    mended
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_of_zeros_is_not_whole() {
        let is_sound = |entry: u32| (1..100).contains(&entry);
        assert!(is_whole(&[0, 7], is_sound));
        assert!(!is_whole(&[0, 0], is_sound) && !is_whole(&[7, 100], is_sound) && !is_whole(&[], is_sound));
    }

    #[test]
    fn only_entries_that_are_not_sound_are_mended() {
        let is_sound = |entry: u32| (1..100).contains(&entry);
        let mut tables = [5, 0, 500, 0, 500];
        assert!(mend(&mut tables, &[6, 7, 8, 0, 0], is_sound));
        assert_eq!(tables, [5, 7, 8, 0, 0]);
        assert!(!mend(&mut tables, &[9, 9, 9, 0, 0], is_sound));
    }
}
