//! The metadata table and its items.

use std::ops::Range;

use imgfmt_core::{Error, Finding, Findings, Limits, Result, Severity, Storage, StorageExt};

use super::{of_error, only_content};
use crate::fields::u32_at;
use crate::layout::{FILE_PARAMETERS, HAS_PARENT, METADATA_TABLE_LEN, PHYSICAL_SECTOR_SIZE, VIRTUAL_DISK_ID};
use crate::metadata::{Item, Items, check_item, entries, name, twice};

/// Looks at the metadata in `region`.
///
/// # Errors
///
/// [`Io`](imgfmt_core::ErrorKind::Io).
pub(super) fn look(storage: &dyn Storage, region: &Range<u64>, limits: &Limits, findings: &mut Findings) -> Result<()> {
    let table = storage.read_vec(region.start, METADATA_TABLE_LEN).and_then(|table| entries(&table, region));
    let all = match table {
        Ok(all) => all,
        Err(error) => {
            findings.push(of_error("vhdx-metadata-table", &only_content(error)?));
            return Ok(());
        }
    };
    for item in &all {
        if let Err(error) = check_item(item, region.end - region.start) {
            findings.push(of_error("vhdx-metadata-table", &error));
        }
    }
    look_at_places(&all, findings);
    let items: Vec<Item> = all.into_iter().filter(|item| !item.is_user()).collect();
    if let Some(id) = twice(&items) {
        findings.push(of_error("vhdx-metadata-table", &Error::malformed(format!("{} is there twice", name(id)))));
    }
    for error in faults(&Items::new(storage, items, region), limits) {
        findings.push(of_error("vhdx-metadata-item", &only_content(error)?));
    }
    Ok(())
}

/// Looks for items that share bytes.
fn look_at_places(all: &[Item], findings: &mut Findings) {
    let mut places: Vec<&Item> = all.iter().filter(|item| item.len != 0).collect();
    places.sort_by_key(|item| item.offset);
    for pair in places.windows(2).filter(|pair| pair[0].range().end > pair[1].range().start) {
        let what = format!("{} and {} overlap", name(pair[0].id), name(pair[1].id));
        findings.push(Finding::new("vhdx-metadata-overlap", Severity::Corruption, what).at(pair[1].at));
    }
}

/// What is wrong with the items' values.
fn faults(items: &Items<'_>, limits: &Limits) -> Vec<Error> {
    let parent = match items.fixed::<8>(FILE_PARAMETERS) {
        Ok(Some((bytes, _))) if u32_at(&bytes, 4) & HAS_PARENT != 0 => items.parent_locator(limits).err(),
        _ => None,
    };
    // What the size has to be a multiple of is told once.
    let size = match items.logical_sector_size() {
        Ok(sector_len) => [items.virtual_disk_size(sector_len).err(), None],
        Err(error) => [Some(error), items.virtual_disk_size(1).err()],
    };
    let others = [
        items.file_parameters().err(),
        physical_sector_size(items).err(),
        items.fixed::<16>(VIRTUAL_DISK_ID).err(),
        parent,
    ];
    size.into_iter().chain(others).flatten().collect()
}

/// Checks the sector as the guest should write it, where the file says so.
fn physical_sector_size(items: &Items<'_>) -> Result<()> {
    match items.fixed::<4>(PHYSICAL_SECTOR_SIZE)?.map(|(bytes, at)| (u32_at(&bytes, 0), at)) {
        None | Some((512 | 4096, _)) => Ok(()),
        Some((other, at)) => {
            let what = format!("is {other}, neither 512 nor 4096");
            Err(Error::malformed(what).field("PhysicalSectorSize").at(at))
        }
    }
}
