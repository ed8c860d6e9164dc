//! The block map as it lies in the file: gone through from its first entry to its last, in parts.

use std::ops::Range;

use imgfmt_core::{Medium, Result, Storage, StorageExt};

use crate::header::Header;
use crate::layout::{ENTRY_LEN, ZERO};

/// The entries of `range`, which is not longer than [`ENTRIES_AT_ONCE`].
pub(crate) fn read(storage: &dyn Storage, header: &Header, range: &Range<u64>) -> Result<Vec<u32>> {
    let len = usize::try_from((range.end - range.start) * ENTRY_LEN).unwrap_or(usize::MAX);
    let bytes = storage.read_vec(header.map_offset + range.start * ENTRY_LEN, len)?;
    let (entries, _) = bytes.as_chunks::<4>();
    Ok(entries.iter().map(|entry| u32::from_le_bytes(*entry)).collect())
}

/// Writes `entries` from byte `at` on.
pub(crate) fn write(medium: &dyn Medium, at: u64, entries: &[u32]) -> Result<()> {
    let bytes: Vec<u8> = entries.iter().flat_map(|entry| entry.to_le_bytes()).collect();
    medium.write_at(&bytes, at)
}

/// The parts of `range` that are looked at as one.
pub(crate) fn parts(range: Range<u64>) -> impl Iterator<Item = Range<u64>> {
    let end = range.end;
    range.step_by(ENTRIES_AT_ONCE as usize).map(move |first| first..end.min(first + ENTRIES_AT_ONCE))
}

/// Calls `act` with every entry of `range` that leads to a block of the file: with its number, and the block's.
pub(crate) fn each_stored(
    storage: &dyn Storage,
    header: &Header,
    range: Range<u64>,
    act: &mut dyn FnMut(u64, u64) -> Result<()>,
) -> Result<()> {
    for part in parts(range) {
        for (index, entry) in (part.start..).zip(read(storage, header, &part)?) {
            if entry < ZERO {
                act(index, u64::from(entry))?;
            }
        }
    }
    Ok(())
}

/// Entries that are read at once: 64 KiB of them.
pub(crate) const ENTRIES_AT_ONCE: u64 = 16_384;
