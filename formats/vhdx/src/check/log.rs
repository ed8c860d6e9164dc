//! The log.

use std::sync::Arc;

use imgfmt_core::{ErrorKind, Finding, Findings, Limits, Repair, Result, Severity, Storage};

use super::{Mend, of_error, only_content};
use crate::bat::Bat;
use crate::geometry::Geometry;
use crate::header::Header;
use crate::headers::Headers;
use crate::layout::{HEADERS_AT, LOG_GUID_AT};
use crate::log;
use crate::metadata::Metadata;
use crate::regions::Regions;

/// Looks at the log of `storage`. Returns what is to be looked at further, and whether that is the file itself; nothing
/// where the file is worth nothing without the log.
///
/// # Errors
///
/// [`Io`](ErrorKind::Io).
pub(super) fn look(
    storage: Arc<dyn Storage>,
    mend: Option<Mend<'_>>,
    limits: &Limits,
    findings: &mut Findings,
) -> Result<Option<(Arc<dyn Storage>, bool)>> {
    let chosen = Header::read(storage.as_ref())?;
    let (header, at) = (&chosen.header, HEADERS_AT[chosen.number - 1] + LOG_GUID_AT as u64);
    if header.log().end > storage.len() {
        let what = format!("the log ends at byte {}, but the file at byte {}", header.log().end, storage.len());
        findings.push(Finding::new("vhdx-log-outside", Severity::Warning, what).at(header.log_offset));
    }
    match log::replay(Arc::clone(&storage), header, limits) {
        Ok((same, None)) => Ok(Some((same, true))),
        Ok((overlay, Some(done))) => {
            let replayed = mend.map(|mend| log::apply::apply(&storage, mend.medium, limits)).transpose();
            let mut what = format!("the log has {} entries that are to be replayed", done.entries);
            let fixed = match &replayed {
                Ok(replayed) => replayed.is_some(),
                Err(error) => {
                    what = format!("{what}, which is not possible: {error}");
                    false
                }
            };
            replayed.map(|_| ()).or_else(|error| only_content(error).map(|_| ()))?;
            let finding = Finding::new("vhdx-log-dirty", Severity::Corruption, what).at(at);
            findings.push(finding.mended_by(Repair::All).fixed(fixed));
            Ok(Some(if fixed { (storage, true) } else { (overlay, false) }))
        }
        Err(error) => {
            let error = only_content(error)?;
            look_at_damaged(storage, mend, limits, findings, of_error(damage(error.kind()), &error))
        }
    }
}

/// What is wrong with a log that cannot be replayed.
fn damage(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::OutOfBounds => "vhdx-log-cut",
        ErrorKind::LimitExceeded => "vhdx-log-unchecked",
        _ => "vhdx-log-damaged",
    }
}

/// Goes on without the log that `finding` is about. A log of which no entry is whole says nothing: once the header
/// does not name it, the disk can be read as the file has it.
fn look_at_damaged(
    storage: Arc<dyn Storage>,
    mend: Option<Mend<'_>>,
    limits: &Limits,
    findings: &mut Findings,
    finding: Finding,
) -> Result<Option<(Arc<dyn Storage>, bool)>> {
    let chosen = Header::read(storage.as_ref())?;
    let readable = is_readable(storage.as_ref(), &chosen.header, limits);
    let mendable = finding.id == "vhdx-log-damaged" && readable;
    let mend = mend.filter(|_| mendable);
    if let Some(mend) = mend {
        let mut headers = Headers::new(storage.as_ref(), &chosen, 2)?;
        headers.forget_log();
        headers.update(mend.medium)?;
        headers.update(mend.medium)?;
    }
    let severity = if finding.id == "vhdx-log-unchecked" { Severity::Unchecked } else { finding.severity };
    let finding = Finding { severity, repair: mendable.then_some(Repair::All), ..finding };
    findings.push(finding.fixed(mend.is_some()));
    Ok(Some((storage, mend.is_some())))
}

/// Whether the structures of the file are right as they are, without the log.
fn is_readable(storage: &dyn Storage, header: &Header, limits: &Limits) -> bool {
    let read = || {
        let regions = Regions::read(storage, header.log())?;
        let metadata = Metadata::read(storage, &regions.metadata, limits)?;
        Bat::new(&regions.bat, &Geometry::of(&metadata), storage.len())
    };
    read().is_ok()
}
