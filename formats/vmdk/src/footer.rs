//! The footer: the header again, near the end of a file that was written in one pass.

use imgfmt_core::{Error, Limits, Result, Storage, StorageExt};

use crate::header::{Header, malformed};
use crate::layout::{
    CAPACITY_AT, COMPRESS_ALGORITHM_AT, DESCRIPTOR_OFFSET_AT, DESCRIPTOR_SIZE_AT, FLAGS_AT, Flags, GD_OFFSET_AT,
    GRAIN_SIZE_AT, HEADER_LEN, MAGIC, MARKER_FOOTER, MARKER_SIZE_AT, MARKER_TYPE_AT, NUM_GTES_PER_GT_AT, SECTOR_LEN,
    VERSION_AT, le_u32,
};

/// Finds the footer that `header` leaves the place of the grain directory to.
///
/// It is the last sector that is not zero: the end-of-stream marker behind it is a sector of zeros, or
/// missing, and some pad the file.
pub(crate) fn find(storage: &dyn Storage, header: &Header, limits: &Limits) -> Result<Header> {
    let at = last_used_sector(storage)?.filter(|&at| at > 0).ok_or_else(|| {
        let what = format!("is 2^64-1, which means a footer, but the last {MAX_PADDING} bytes of the file are zeros");
        malformed("gdOffset", GD_OFFSET_AT, what)
    })?;
    if !starts_with_magic(storage, at)? {
        let what =
            format!("is 2^64-1, which means a footer, but the file ends without one at byte {at}: it is cut short");
        return Err(malformed("gdOffset", GD_OFFSET_AT, what));
    }
    if header.flags.has(Flags::MARKERS) {
        check_marker(storage, at)?;
    }
    let footer = Header::read(storage, at, limits)?;
    check_agreement(header, &footer, at)?;
    Ok(footer)
}

/// The first byte of the last sector that is not all zeros, or `None` where there is none to be found.
fn last_used_sector(storage: &dyn Storage) -> Result<Option<u64>> {
    let mut end = storage.len();
    let first = end.saturating_sub(MAX_PADDING);
    while end > first {
        let start = (end - 1) / STEP_LEN * STEP_LEN;
        let len = usize::try_from(end - start).unwrap_or(HEADER_LEN);
        let bytes = storage.read_vec(start, len)?;
        if let Some(last) = bytes.iter().rposition(|&byte| byte != 0) {
            let last = start + last as u64;
            return Ok(Some(last - last % SECTOR_LEN));
        }
        end = start;
    }
    Ok(None)
}

/// Whether a header may start at byte `at`.
fn starts_with_magic(storage: &dyn Storage, at: u64) -> Result<bool> {
    let mut magic = [0; MAGIC.len()];
    storage.read_padded(&mut magic, at)?;
    Ok(magic == MAGIC)
}

/// Checks the marker before the footer at byte `at`.
fn check_marker(storage: &dyn Storage, at: u64) -> Result<()> {
    let marker_at = at - SECTOR_LEN;
    let marker = storage.read_array::<16>(marker_at)?;
    let size = le_u32::<MARKER_SIZE_AT, 16>(&marker);
    let kind = le_u32::<MARKER_TYPE_AT, 16>(&marker);
    if size == 0 && kind == MARKER_FOOTER {
        return Ok(());
    }
    let what = format!("is {kind} before a footer, where {MARKER_FOOTER} belongs");
    Err(Error::malformed(what).field("type").at(marker_at + MARKER_TYPE_AT as u64))
}

/// Checks that the footer at byte `at` says what the header says, but for the place of the directories.
pub(crate) fn check_agreement(header: &Header, footer: &Header, at: u64) -> Result<()> {
    let fields = [
        ("version", VERSION_AT, u64::from(header.version), u64::from(footer.version)),
        ("flags", FLAGS_AT, u64::from(header.flags.0), u64::from(footer.flags.0)),
        ("capacity", CAPACITY_AT, header.capacity, footer.capacity),
        ("grainSize", GRAIN_SIZE_AT, header.grain_size, footer.grain_size),
        ("descriptorOffset", DESCRIPTOR_OFFSET_AT, header.descriptor_offset, footer.descriptor_offset),
        ("descriptorSize", DESCRIPTOR_SIZE_AT, header.descriptor_size, footer.descriptor_size),
        ("numGTEsPerGT", NUM_GTES_PER_GT_AT, u64::from(header.gtes_per_gt), u64::from(footer.gtes_per_gt)),
        ("compressAlgorithm", COMPRESS_ALGORITHM_AT, u64::from(header.compressed), u64::from(footer.compressed)),
    ];
    for (field, field_at, in_header, in_footer) in fields {
        if in_header != in_footer {
            let what = format!("is {in_footer} in the footer and {in_header} in the header");
            return Err(Error::malformed(what).field(field).at(at + field_at as u64));
        }
    }
    if footer.has_footer() {
        let what = "is 2^64-1 in the footer too";
        return Err(Error::malformed(what).field("gdOffset").at(at + GD_OFFSET_AT as u64));
    }
    Ok(())
}

/// Bytes of zeros behind a footer that are searched for it. Not a rule of the format.
const MAX_PADDING: u64 = 1 << 20;
/// Bytes that are read at once in that search.
const STEP_LEN: u64 = 64 << 10;
