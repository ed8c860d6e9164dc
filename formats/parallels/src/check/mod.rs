//! Looking for damage, and mending it: the header, the BAT, and the clusters to which it leads.

mod look;
mod mend;
mod plan;

use std::sync::Arc;

use imgfmt_core::{Check, CheckStats, Error, Findings, Medium, OpenContext, Repair, Result, Storage};

use crate::{NAME, Parallels};

impl Check for Parallels {
    fn check(
        &self,
        storage: Arc<dyn Storage>,
        context: &OpenContext<'_>,
        findings: &mut Findings,
    ) -> Result<CheckStats> {
        let looked = look::look(storage.as_ref(), context, None, findings).map_err(|e| e.in_format(NAME))?;
        Ok(looked.stats)
    }

    fn repair(
        &self,
        medium: Arc<dyn Medium>,
        repair: Repair,
        context: &OpenContext<'_>,
        findings: &mut Findings,
    ) -> Result<CheckStats> {
        let mut mend = || {
            let looked = look::look(medium.as_ref(), context, Some(repair), findings)?;
            mend::carry_out(medium.as_ref(), &looked)?;
            Ok(looked.stats)
        };
        mend().map_err(|e: Error| e.in_format(NAME))
    }

    fn repairs(&self) -> Option<Repair> {
        Some(Repair::All)
    }
}
