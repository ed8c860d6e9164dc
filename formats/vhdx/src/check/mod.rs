//! Looking for damage in an image, and mending it.
//!
//! The structures are looked at in the order in which a reader needs them; what cannot be read ends the check there. A
//! log that has to be replayed is replayed in memory, or by a repair in the file, before anything else is looked at.

mod header;
mod log;
mod metadata;
mod regions;
mod shared;
mod space;
pub(crate) mod table;

use std::sync::Arc;

use imgfmt_core::{
    Check, CheckStats, Error, Finding, Findings, Limits, Medium, OpenContext, Repair, Result, Severity, Storage,
};

use crate::bat::Bat;
use crate::geometry::Geometry;
use crate::header::Header;
use crate::metadata::Metadata;
use crate::{NAME, Vhdx};
use table::Walk;

impl Check for Vhdx {
    fn check(
        &self,
        storage: Arc<dyn Storage>,
        context: &OpenContext<'_>,
        findings: &mut Findings,
    ) -> Result<CheckStats> {
        look(storage, None, context.limits, findings).map_err(|e| e.in_format(NAME))
    }

    fn repair(
        &self,
        medium: Arc<dyn Medium>,
        repair: Repair,
        context: &OpenContext<'_>,
        findings: &mut Findings,
    ) -> Result<CheckStats> {
        let storage = Arc::clone(&medium) as Arc<dyn Storage>;
        let mend = Mend { medium: medium.as_ref(), repair };
        look(storage, Some(mend), context.limits, findings).map_err(|e| e.in_format(NAME))
    }

    fn repairs(&self) -> Option<Repair> {
        Some(Repair::All)
    }
}

/// What a repair may do.
#[derive(Clone, Copy)]
pub(crate) struct Mend<'a> {
    /// The file.
    medium: &'a dyn Medium,
    /// How much.
    repair: Repair,
}

/// Looks at the image in `storage`, and mends what `mend` allows.
fn look(
    storage: Arc<dyn Storage>,
    mend: Option<Mend<'_>>,
    limits: &Limits,
    findings: &mut Findings,
) -> Result<CheckStats> {
    Header::read(storage.as_ref())?;
    // Without the right to mend everything, only leaks are mended, at the end.
    let all = mend.filter(|mend| mend.repair == Repair::All);
    header::look(storage.as_ref(), all, findings)?;
    let Some((storage, is_file)) = log::look(storage, all, limits, findings)? else {
        return Ok(CheckStats::default());
    };
    // Behind a log that could not be put into the file, what is looked at is not what is there.
    let (mend, all) = (mend.filter(|_| is_file), all.filter(|_| is_file));
    let log = Header::read(storage.as_ref())?.header.log();
    let Some(regions) = regions::look(storage.as_ref(), log, all, findings)? else {
        return Ok(CheckStats::default());
    };
    metadata::look(storage.as_ref(), &regions.metadata, limits, findings)?;
    let Ok(metadata) = Metadata::read(storage.as_ref(), &regions.metadata, limits) else {
        return Ok(CheckStats::default());
    };
    let geometry = Geometry::of(&metadata);
    let bat = match Bat::new(&regions.bat, &geometry, storage.len()) {
        Ok(bat) => bat,
        Err(error) => {
            findings.push(of_error("vhdx-bat-short", &error));
            return Ok(CheckStats::default());
        }
    };
    let mut walk = match Walk::new(storage.as_ref(), &bat, geometry, &regions, limits) {
        Ok(walk) => walk,
        Err(error) => {
            findings.push(Finding { severity: Severity::Unchecked, ..of_error("vhdx-bat-unchecked", &error) });
            return Ok(CheckStats::default());
        }
    };
    walk.run(all, findings)?;
    space::look(&walk, metadata.leave_blocks_allocated, storage.as_ref(), mend, findings)?;
    Ok(walk.stats())
}

/// The finding that `error` is.
fn of_error(id: &'static str, error: &Error) -> Finding {
    let finding = Finding::new(id, Severity::Corruption, error.to_string());
    match error.offset() {
        Some(offset) => finding.at(offset),
        None => finding,
    }
}

/// Passes on an error that is not about the file's content.
///
/// # Errors
///
/// [`Io`](imgfmt_core::ErrorKind::Io) and the like.
fn only_content(error: Error) -> Result<Error> {
    use imgfmt_core::ErrorKind::{LimitExceeded, Malformed, OutOfBounds, Unsupported};
    match error.kind() {
        LimitExceeded | Malformed | OutOfBounds | Unsupported => Ok(error),
        _ => Err(error),
    }
}
