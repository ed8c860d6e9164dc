//! The two region tables.

use std::ops::Range;

use imgfmt_core::{Finding, Findings, Repair, Result, Severity, Storage, StorageExt};

use super::{Mend, of_error, only_content};
use crate::layout::{REGION_TABLE_LEN, REGION_TABLES_AT};
use crate::regions::Regions;

/// Looks at them, and returns what counts; nothing where neither is right. The log is at `log`.
///
/// # Errors
///
/// [`Io`](imgfmt_core::ErrorKind::Io).
pub(super) fn look(
    storage: &dyn Storage,
    log: Range<u64>,
    mend: Option<Mend<'_>>,
    findings: &mut Findings,
) -> Result<Option<Regions>> {
    let read = |at: u64| {
        let bytes = storage.read_vec(at, REGION_TABLE_LEN)?;
        Regions::parse(&bytes, at, log.clone())
    };
    let regions = match REGION_TABLES_AT.map(read) {
        [Ok(first), Ok(second)] => {
            if first != second {
                let what = "the region tables name different places; the first one counts";
                let finding = Finding::new("vhdx-region-tables-differ", Severity::Corruption, what);
                findings.push(replace(storage, 1, mend, finding)?);
            }
            first
        }
        [Ok(regions), Err(error)] => {
            let error = only_content(error)?;
            findings.push(replace(storage, 1, mend, of_error("vhdx-region-table-damaged", &error))?);
            regions
        }
        [Err(error), Ok(regions)] => {
            let error = only_content(error)?;
            findings.push(replace(storage, 0, mend, of_error("vhdx-region-table-damaged", &error))?);
            Regions { table: 2, ..regions }
        }
        [Err(first), Err(second)] => {
            for error in [first, second] {
                findings.push(of_error("vhdx-region-table-damaged", &only_content(error)?));
            }
            return Ok(None);
        }
    };
    // What is needed of them is missed where it is read.
    for range in regions.taken.iter().filter(|range| range.end > storage.len() && **range != log) {
        let what = format!("a region ends at byte {}, but the file at byte {}", range.end, storage.len());
        findings.push(Finding::new("vhdx-region-outside", Severity::Warning, what).at(range.start));
    }
    Ok(Some(regions))
}

/// Writes the other table over table `which`, and completes the `finding` about it.
fn replace(storage: &dyn Storage, which: usize, mend: Option<Mend<'_>>, finding: Finding) -> Result<Finding> {
    if let Some(mend) = mend {
        let good = storage.read_vec(REGION_TABLES_AT[1 - which], REGION_TABLE_LEN)?;
        mend.medium.write_at(&good, REGION_TABLES_AT[which])?;
        mend.medium.sync()?;
    }
    let at = finding.offset.unwrap_or(REGION_TABLES_AT[which]);
    Ok(finding.at(at).mended_by(Repair::All).fixed(mend.is_some()))
}
