//! Feature bits that tell of the state of the image.

use imgfmt_core::{Findings, Result, Target};

use super::rules;
use crate::features::Features;
use crate::layout::{
    AUTOCLEAR_BITMAPS, AUTOCLEAR_DATA_FILE_RAW, AUTOCLEAR_FEATURES_AT, INCOMPATIBLE_CORRUPT, INCOMPATIBLE_DIRTY,
    INCOMPATIBLE_FEATURES_AT,
};

/// Tells `findings` of the bits that say that something is wrong: of the dirty and the corrupt bit as mended where `mended`
/// says so.
pub(super) fn tell(features: Features, mended: bool, findings: &mut Findings) {
    let mut say = |rule: rules::Rule, what: &str| {
        findings.push(rule.finding(what).at(INCOMPATIBLE_FEATURES_AT as u64).fixed(mended));
    };
    if features.dirty() {
        say(rules::DIRTY, "the image is marked dirty: its refcounts may be stale");
    }
    if features.corrupt() {
        say(rules::CORRUPT, "the image is marked corrupt: nothing may be written before it is repaired");
    }
}

/// Tells `findings` of the autoclear bits that are not known, as mended where `mended` says so.
pub(super) fn tell_autoclear(features: Features, mended: bool, findings: &mut Findings) {
    let unknown = features.autoclear & !KNOWN_AUTOCLEAR;
    if unknown != 0 {
        let what = format!("unknown autoclear features: {unknown:#x}; a writer has to clear them");
        findings.push(rules::AUTOCLEAR_UNKNOWN.finding(what).at(AUTOCLEAR_FEATURES_AT as u64).fixed(mended));
    }
}

/// Clears the autoclear bits that are not known: what they promise may not be kept by what is written next.
///
/// # Errors
///
/// [`Io`](imgfmt_core::ErrorKind::Io).
pub(super) fn clear_autoclear(features: Features, target: &dyn Target) -> Result<()> {
    let known = features.autoclear & KNOWN_AUTOCLEAR;
    put(features.autoclear, known, AUTOCLEAR_FEATURES_AT, target)
}

/// Clears the dirty and the corrupt bit.
///
/// # Errors
///
/// [`Io`](imgfmt_core::ErrorKind::Io).
pub(super) fn clear(features: Features, target: &dyn Target) -> Result<()> {
    let clean = features.incompatible & !(INCOMPATIBLE_DIRTY | INCOMPATIBLE_CORRUPT);
    put(features.incompatible, clean, INCOMPATIBLE_FEATURES_AT, target)
}

/// Writes a field of bits that is `old`, unless it stays.
fn put(old: u64, new: u64, at: usize, target: &dyn Target) -> Result<()> {
    if old == new {
        return Ok(());
    }
    target.write_at(&new.to_be_bytes(), at as u64)?;
    target.sync()
}

/// The autoclear bits that are known here.
const KNOWN_AUTOCLEAR: u64 = AUTOCLEAR_BITMAPS | AUTOCLEAR_DATA_FILE_RAW;
