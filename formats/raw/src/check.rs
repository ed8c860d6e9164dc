//! Looking for damage: there is nothing in a raw image that could be damaged but its length.

use std::sync::Arc;

use imgfmt_core::{
    Check, CheckStats, Error, Finding, Findings, Image, Medium, OpenContext, Repair, Result, Severity, Storage,
};

use crate::write::UNIT_LEN;
use crate::{NAME, Raw, open};

impl Check for Raw {
    fn check(
        &self,
        storage: Arc<dyn Storage>,
        context: &OpenContext<'_>,
        findings: &mut Findings,
    ) -> Result<CheckStats> {
        let size = open::open(storage, context).map_err(|e| e.in_format(NAME))?.size();
        if !size.is_multiple_of(UNIT_LEN) {
            let what = format!("the disk has {size} bytes, which are no whole sectors of {UNIT_LEN}: it may be cut");
            findings.push(Finding::new("raw-size-odd", Severity::Warning, what).at(size));
        }
        Ok(CheckStats { image_end: Some(size), ..CheckStats::default() })
    }

    fn repair(
        &self,
        _medium: Arc<dyn Medium>,
        _repair: Repair,
        _context: &OpenContext<'_>,
        _findings: &mut Findings,
    ) -> Result<CheckStats> {
        Err(Error::invalid("there is nothing in a raw image that could be repaired").in_format(NAME))
    }

    fn repairs(&self) -> Option<Repair> {
        None
    }
}
