//! The markers of a stream-optimised extent.

use imgfmt_core::{Error, Finding, Result, Severity, StorageExt};

use super::extent::Subject;
use super::job::Job;
use crate::grain::max_stored_len;
use crate::header::Header;
use crate::layout::{
    ENTRY_LEN, Flags, GRAIN_MARKER_LEN, HEADER_LEN, MARKER_GRAIN_DIRECTORY, MARKER_GRAIN_TABLE, MARKER_SIZE_AT,
    MARKER_TYPE_AT, SECTOR_LEN, byte_of, le_u32, le_u32s, le_u64,
};

/// Checks the markers before the directory and the tables of an extent with a footer, and its end.
pub(super) fn check_frame(job: &mut Job<'_, '_>, subject: &Subject<'_>) -> Result<()> {
    let header = &subject.header;
    if !header.flags.has(Flags::MARKERS) {
        return Ok(());
    }
    let sectors = subject.directory_sectors();
    check_marker(
        job,
        subject,
        header.gd_offset,
        Expected { kind: MARKER_GRAIN_DIRECTORY, sectors, name: "directory" },
    )?;
    let mut next = 0;
    while next < header.table_count() {
        let count = (header.table_count() - next).min(ENTRIES_AT_ONCE);
        let at = byte_of(header.gd_offset).saturating_add(next * ENTRY_LEN);
        let len = usize::try_from(count * ENTRY_LEN).unwrap_or(0);
        // A directory that is not there is told of where directories are.
        let Ok(bytes) = subject.storage().read_vec(at, len) else { return Ok(()) };
        for &table in le_u32s(&bytes).iter().filter(|&&table| table != 0) {
            let sectors = subject.table_sectors();
            let expected = Expected { kind: MARKER_GRAIN_TABLE, sectors, name: "table" };
            check_marker(job, subject, u64::from(table), expected)?;
        }
        next += count;
    }
    check_end(job, subject, header)
}

/// What the marker before some metadata has to say.
struct Expected {
    /// Its `type`.
    kind: u32,
    /// Sectors that follow.
    sectors: u64,
    /// What it is before.
    name: &'static str,
}

/// Checks the marker before `sector`.
fn check_marker(job: &mut Job<'_, '_>, subject: &Subject<'_>, sector: u64, expected: Expected) -> Result<()> {
    let at = byte_of(sector.saturating_sub(1));
    if sector == 0 || at.saturating_add(SECTOR_LEN) > subject.storage().len() {
        return Ok(());
    }
    let marker = subject.storage().read_array::<16>(at)?;
    let (val, size) = (le_u64::<0, 16>(&marker), le_u32::<MARKER_SIZE_AT, 16>(&marker));
    let kind = le_u32::<MARKER_TYPE_AT, 16>(&marker);
    if (val, size, kind) != (expected.sectors, 0, expected.kind) {
        let what = format!(
            "the marker before a grain {} says {kind} and {val} sectors, not {} and {}",
            expected.name, expected.kind, expected.sectors
        );
        job.tell(Finding::new("vmdk-marker-metadata", Severity::Corruption, what).at(at));
    }
    Ok(())
}

/// Checks that the stream has an end.
fn check_end(job: &mut Job<'_, '_>, subject: &Subject<'_>, header: &Header) -> Result<()> {
    let len = subject.storage().len();
    let mut last = [0; HEADER_LEN];
    let read = subject.storage().read_padded(&mut last, len.saturating_sub(SECTOR_LEN))?;
    if read == HEADER_LEN && last.iter().any(|&byte| byte != 0) && !header.has_footer() {
        let what = "the stream has no marker that ends it";
        job.tell(Finding::new("vmdk-end-missing", Severity::Warning, what).at(len));
    }
    Ok(())
}

/// What is wrong with the marker of the grain number `grain`, which starts within the file at sector `entry`.
pub(super) fn marker_fault(subject: &Subject<'_>, grain: u64, entry: u64) -> Result<Option<(&'static str, String)>> {
    let Some((lba, size)) = marker(subject, entry)? else {
        return Ok(Some(("vmdk-grain-outside", format!("has a marker at sector {entry}, where the file ends"))));
    };
    let wanted = grain * subject.header.grain_size;
    if lba != wanted {
        let what = format!("starts at guest sector {wanted}, but its marker at sector {entry} says {lba}");
        return Ok(Some(("vmdk-marker-lba", what)));
    }
    let len = size + GRAIN_MARKER_LEN as u64;
    if size == 0 || len > max_stored_len(subject.header.grain_len()) {
        return Ok(Some(("vmdk-marker-size", format!("is {size} bytes by its marker at sector {entry}"))));
    }
    if byte_of(entry).saturating_add(len) > subject.storage().len() {
        let what = format!("is {size} bytes by its marker at sector {entry}, but the file ends before");
        return Ok(Some(("vmdk-grain-outside", what)));
    }
    Ok(None)
}

/// Sectors that the grain at sector `entry` takes by its marker.
pub(super) fn stored_sectors(subject: &Subject<'_>, entry: u64) -> Result<u64> {
    let most = max_stored_len(subject.header.grain_len());
    let len = marker(subject, entry)?.map_or(0, |(_, size)| size) + GRAIN_MARKER_LEN as u64;
    // A size that cannot be right says nothing of where others may be.
    Ok(if len > most { 1 } else { len.div_ceil(SECTOR_LEN) })
}

/// The guest sector and the size in the marker at sector `entry`, where it is within the file.
fn marker(subject: &Subject<'_>, entry: u64) -> Result<Option<(u64, u64)>> {
    let at = byte_of(entry);
    if at.saturating_add(GRAIN_MARKER_LEN as u64) > subject.storage().len() {
        return Ok(None);
    }
    let bytes = subject.storage().read_array::<GRAIN_MARKER_LEN>(at).map_err(|e: Error| e.at(at))?;
    let size = le_u32::<MARKER_SIZE_AT, GRAIN_MARKER_LEN>(&bytes);
    Ok(Some((le_u64::<0, GRAIN_MARKER_LEN>(&bytes), u64::from(size))))
}

/// Entries of a directory that are read at once.
const ENTRIES_AT_ONCE: u64 = 4096;
