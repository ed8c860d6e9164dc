//! The BAT as it lies in the file: gone through from its first entry to its last, in parts.

use std::ops::Range;

use imgfmt_core::{Medium, Result, Storage, StorageExt};

use crate::header::entry_at;
use crate::layout::ENTRY_LEN;

/// The entries of `range`, which is not longer than [`ENTRIES_AT_ONCE`].
pub(crate) fn read(storage: &dyn Storage, range: &Range<u64>) -> Result<Vec<u32>> {
    let len = usize::try_from((range.end - range.start) * ENTRY_LEN).unwrap_or(usize::MAX);
    let bytes = storage.read_vec(entry_at(range.start), len)?;
    let (entries, _) = bytes.as_chunks::<4>();
    Ok(entries.iter().map(|entry| u32::from_le_bytes(*entry)).collect())
}

/// Writes entries, those that lie side by side as one. They come in the order of the BAT.
pub(crate) fn write(medium: &dyn Medium, changes: &[(u64, u32)]) -> Result<()> {
    for run in changes.chunk_by(|one, next| one.0 + 1 == next.0) {
        let bytes: Vec<u8> = run.iter().flat_map(|(_, entry)| entry.to_le_bytes()).collect();
        medium.write_at(&bytes, entry_at(run[0].0))?;
    }
    Ok(())
}

/// The parts of `range` that are looked at as one.
pub(crate) fn parts(range: Range<u64>) -> impl Iterator<Item = Range<u64>> {
    let end = range.end;
    range
        .step_by(usize::try_from(ENTRIES_AT_ONCE).unwrap_or(usize::MAX))
        .map(move |start| start..end.min(start + ENTRIES_AT_ONCE))
}

/// Calls `visit` with those entries of `range` that lead somewhere, each with its number.
pub(crate) fn each_stored(
    storage: &dyn Storage,
    range: Range<u64>,
    visit: &mut dyn FnMut(u64, u32) -> Result<()>,
) -> Result<()> {
    for part in parts(range) {
        for (index, entry) in (part.start..).zip(read(storage, &part)?) {
            if entry != 0 {
                visit(index, entry)?;
            }
        }
    }
    Ok(())
}

/// Entries that are read and changed at once: 64 KiB of them.
const ENTRIES_AT_ONCE: u64 = 1 << 14;
