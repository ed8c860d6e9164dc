//! Looking for damage: the header keeps its rules or cannot be opened, so what is left is the length.

use std::sync::Arc;

use imgfmt_core::{
    Check, CheckStats, Error, Finding, Findings, Medium, OpenContext, Repair, Result, Severity, Storage,
};

use crate::{Luks, NAME, open};

impl Check for Luks {
    fn check(&self, storage: Arc<dyn Storage>, _: &OpenContext<'_>, findings: &mut Findings) -> Result<CheckStats> {
        let header = open::read_header(storage.as_ref()).map_err(|e| e.in_format(NAME))?;
        let (start, len) = (header.payload_offset, storage.len());
        let end = start + open::size_of(start, len);
        if end < len {
            let what = format!("the last {} bytes are no whole sector: the file may be cut", len - end);
            findings.push(Finding::new("luks-size-odd", Severity::Warning, what).at(end));
        }
        if !header.slots.iter().any(|slot| slot.active) {
            let what = "no key slot is active: without a copy of the header, nobody can read the disk";
            findings.push(Finding::new("luks-no-key", Severity::Corruption, what).at(0));
        }
        Ok(CheckStats { image_end: Some(end), ..CheckStats::default() })
    }

    fn repair(&self, _: Arc<dyn Medium>, _: Repair, _: &OpenContext<'_>, _: &mut Findings) -> Result<CheckStats> {
        Err(Error::invalid("there is nothing in a LUKS container that could be repaired").in_format(NAME))
    }

    fn repairs(&self) -> Option<Repair> {
        None
    }
}
