//! Looking for damage in an image, and mending it.
//!
//! ```text
//! subject (header) ─▶ references ─▶ lists (snapshots, bitmaps)
//!                        │      └─▶ tables (every L2 table once) ─▶ entries, l2: what breaks a rule
//!                        ▼
//!                     counts, window by window ─▶ pass: compare with stored refcounts ─▶ copied: flags
//!                                                   │
//!                                  plan ─▶ repair: entries, rebuild, raise, flags, lower, bits
//! ```
//!
//! Memory is bounded whatever the size of the image: host clusters are counted in windows, as many clusters at a time as
//! the limits have room for, and L2 tables are remembered in windows, too. Time is bounded by the size of the file:
//! every table is followed once, with the number of its uses, and tables that lie across one another are not.

pub(crate) mod anew;
mod bits;
mod copied;
mod counts;
mod entries;
mod kinds;
mod l2;
mod lists;
mod pass;
mod plan;
mod rebuild;
mod references;
mod repair;
mod rules;
mod stored;
mod subject;
mod tables;
mod tally;
mod vacant;
pub(crate) mod width;

use std::sync::Arc;

use imgfmt_core::{Check, CheckStats, Findings, Medium, OpenContext, Repair, Result, Storage};

use crate::{NAME, Qcow2};

impl Check for Qcow2 {
    fn check(
        &self,
        storage: Arc<dyn Storage>,
        context: &OpenContext<'_>,
        findings: &mut Findings,
    ) -> Result<CheckStats> {
        repair::check(storage.as_ref(), context.limits, findings).map_err(|e| e.in_format(NAME))
    }

    fn repair(
        &self,
        medium: Arc<dyn Medium>,
        repair: Repair,
        context: &OpenContext<'_>,
        findings: &mut Findings,
    ) -> Result<CheckStats> {
        repair::repair(medium.as_ref(), repair, context.limits, findings).map_err(|e| e.in_format(NAME))
    }

    fn repairs(&self) -> Option<Repair> {
        Some(Repair::All)
    }
}
