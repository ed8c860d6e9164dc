//! The grain directory, and the redundant one where the first is damaged.

use imgfmt_core::{Error, Limits, Result, Storage, StorageExt};

use crate::header::Header;
use crate::layout::{CAPACITY_AT, ENTRY_LEN, GD_OFFSET_AT, RGD_OFFSET_AT, byte_of, le_u32s};

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
    /// An entry that is 0 or points outside the file gives way to the one in the redundant directory, where
    /// that is sound: writers keep the two alike.
    pub(crate) fn read(storage: &dyn Storage, header: &Header, limits: &Limits) -> Result<Self> {
        let too_large = |e: Error| e.at(CAPACITY_AT as u64);
        let len = limits.table_len("capacity", header.table_count(), ENTRY_LEN).map_err(too_large)?;
        let table_len = u64::from(header.gtes_per_gt) * ENTRY_LEN;
        let is_sound = |entry: u32| entry != 0 && byte_of(u64::from(entry)).saturating_add(table_len) <= storage.len();
        let first = read_entries(storage, header.gd_offset, len)
            .map_err(|e| e.context("cannot be read").field("gdOffset").at(GD_OFFSET_AT as u64));
        if let Ok(tables) = &first
            && tables.iter().all(|&entry| is_sound(entry))
        {
            return Ok(Self { tables: first?, redundant_used: false });
        }
        let spare = header.redundant_directory().map(|at| {
            read_entries(storage, at, len)
                .map_err(|e| e.context("cannot be read").field("rgdOffset").at(RGD_OFFSET_AT as u64))
        });
        let directory = match (first, spare) {
            (Ok(mut tables), Some(Ok(spare))) => {
                let redundant_used = mend(&mut tables, &spare, is_sound);
                Self { tables, redundant_used }
            }
            (Ok(tables), _) => Self { tables, redundant_used: false },
            (Err(_), Some(Ok(tables))) => Self { tables, redundant_used: true },
            (Err(error), _) => return Err(error),
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

/// Replaces entries that are not sound by those of `spare` that are; says whether there were any.
fn mend(tables: &mut [u32], spare: &[u32], is_sound: impl Fn(u32) -> bool) -> bool {
    let mut mended = false;
    for (entry, &spare) in tables.iter_mut().zip(spare) {
        if !is_sound(*entry) && is_sound(spare) {
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
    fn only_entries_that_are_not_sound_are_mended() {
        let is_sound = |entry: u32| (1..100).contains(&entry);
        let mut tables = [5, 0, 500, 0, 500];
        assert!(mend(&mut tables, &[6, 7, 8, 0, 900], is_sound));
        assert_eq!(tables, [5, 7, 8, 0, 500]);
        assert!(!mend(&mut tables, &[0; 5], is_sound));
    }
}
