//! Looking for damage in an image, and mending it.
//!
//! Readers go by the grain directory and its tables; the redundant ones are there for the day on which those are damaged.
//! So nothing that is mended changes what a sound part of the image reads as: what is lost in one of the two comes from
//! the other, and where both make sense and differ, the redundant ones follow only if the image was not closed.

mod descriptor;
mod directories;
mod extent;
mod file;
mod grains;
mod job;
mod layer;
mod leaks;
mod mend;
mod pairs;
mod stream;
mod usage;

use std::sync::Arc;

use imgfmt_core::{
    Check, CheckStats, Error, Finding, Findings, Medium, OpenContext, Repair, Result, Severity, Storage,
};

use crate::NAME;
use file::File;
use job::Job;

/// Checks that the sparse extent in `storage`, which has `size` guest bytes, has no damage; says whether its last grain is
/// stored only as far as the disk goes.
///
/// # Errors
///
/// [`Malformed`](imgfmt_core::ErrorKind::Malformed) with the first damage that there is.
pub(crate) fn require_sound(storage: Arc<dyn Storage>, size: u64, context: &OpenContext<'_>) -> Result<bool> {
    let mut findings = Findings::new();
    let mut job = Job::new(context, None, &mut findings);
    extent::check_quickly(&mut job, &File::to_read(storage), size)?;
    let shares_tail = job.shares_tail;
    let bad = |finding: &&Finding| matches!(finding.severity, Severity::Corruption | Severity::Unchecked);
    match findings.kept().iter().find(bad) {
        None => Ok(shares_tail),
        Some(found) => {
            let what = format!("the image has to be repaired first: {}", found.what);
            Err(Error::malformed(what).at(found.offset.unwrap_or(0)))
        }
    }
}

/// The check of this format.
pub(crate) struct Checker;

impl Check for Checker {
    fn check(
        &self,
        storage: Arc<dyn Storage>,
        context: &OpenContext<'_>,
        findings: &mut Findings,
    ) -> Result<CheckStats> {
        let mut job = Job::new(context, None, findings);
        layer::check(&mut job, &File::to_read(storage)).map_err(|e| e.in_format(NAME))?;
        Ok(job.stats)
    }

    fn repair(
        &self,
        medium: Arc<dyn Medium>,
        repair: Repair,
        context: &OpenContext<'_>,
        findings: &mut Findings,
    ) -> Result<CheckStats> {
        let mut job = Job::new(context, Some(repair), findings);
        layer::check(&mut job, &File::to_mend(medium)).map_err(|e| e.in_format(NAME))?;
        Ok(job.stats)
    }

    fn repairs(&self) -> Option<Repair> {
        Some(Repair::All)
    }
}
