//! Looking for damage, and mending what two copies or the rest of the file bear out.

mod blocks;
mod ends;
mod fixed;
mod header;
mod mend;
mod names;
mod size;
mod unused;

use std::sync::Arc;

use imgfmt_core::{Check, CheckStats, Finding, Findings, Medium, OpenContext, Repair, Result, Severity, Storage};

use crate::footer::DiskType;
use crate::{NAME, Vhd};
use mend::Plan;

impl Check for Vhd {
    fn check(
        &self,
        storage: Arc<dyn Storage>,
        context: &OpenContext<'_>,
        findings: &mut Findings,
    ) -> Result<CheckStats> {
        let mut look = Look::new(storage.as_ref(), context, None, findings);
        look.at_all().map_err(|e| e.in_format(NAME))
    }

    fn repair(
        &self,
        medium: Arc<dyn Medium>,
        repair: Repair,
        context: &OpenContext<'_>,
        findings: &mut Findings,
    ) -> Result<CheckStats> {
        let storage: &dyn Storage = medium.as_ref();
        let mut look = Look::new(storage, context, Some(repair), findings);
        let stats = look.at_all().map_err(|e| e.in_format(NAME))?;
        look.plan.carry_out(medium.as_ref()).map_err(|e| e.in_format(NAME))?;
        Ok(stats)
    }

    fn repairs(&self) -> Option<Repair> {
        Some(Repair::All)
    }
}

/// A look at a file, and what it has shown.
struct Look<'a> {
    /// The file.
    storage: &'a dyn Storage,
    /// How it is opened.
    context: &'a OpenContext<'a>,
    /// What may be mended.
    repair: Option<Repair>,
    /// What was found.
    findings: &'a mut Findings,
    /// What will be mended.
    plan: Plan,
    /// Whether the table and the blocks are damaged.
    table_damaged: bool,
}

impl<'a> Look<'a> {
    /// Nothing has been looked at.
    fn new(
        storage: &'a dyn Storage,
        context: &'a OpenContext<'a>,
        repair: Option<Repair>,
        findings: &'a mut Findings,
    ) -> Self {
        Self { storage, context, repair, findings, plan: Plan::default(), table_damaged: false }
    }

    /// Tells of a finding that nothing mends.
    fn tell(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    /// Tells of a finding that `repair` mends; returns whether it is to be mended now.
    fn tell_mended_by(&mut self, repair: Repair, finding: Finding) -> bool {
        self.findings.push_mended(finding, Some(repair), self.repair)
    }

    /// Looks at everything.
    fn at_all(&mut self) -> Result<CheckStats> {
        let chosen = self.at_footers()?;
        let Some(size) = self.at_size(&chosen)? else { return Ok(CheckStats::default()) };
        if chosen.footer.disk_type == DiskType::Fixed {
            self.at_fixed(&chosen, size);
            return Ok(CheckStats { image_end: Some(self.storage.len()), ..CheckStats::default() });
        }
        let seen = match self.at_header(&chosen)? {
            Some(header) => self.at_blocks(&chosen, &header, size)?,
            None => None,
        };
        self.at_ends(&chosen, seen.as_ref());
        Ok(seen.map(|seen| seen.stats).unwrap_or_default())
    }
}

/// Damage to what is stored, at host byte `at`.
fn corruption(id: &'static str, what: impl Into<String>, at: u64) -> Finding {
    Finding::new(id, Severity::Corruption, what).at(at)
}

/// Something worth knowing, at host byte `at`.
fn warning(id: &'static str, what: impl Into<String>, at: u64) -> Finding {
    Finding::new(id, Severity::Warning, what).at(at)
}
