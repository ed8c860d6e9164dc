//! The file type identifier and the two headers.

use imgfmt_core::{Finding, Findings, Repair, Result, Severity, Storage};

use super::{Mend, of_error, only_content};
use crate::header::{Header, read_creator};
use crate::headers::Headers;
use crate::layout::{FILE_SIGNATURE, HEADERS_AT};

/// Looks at them, of which one header is right.
///
/// # Errors
///
/// [`Io`](imgfmt_core::ErrorKind::Io).
pub(super) fn look(storage: &dyn Storage, mend: Option<Mend<'_>>, findings: &mut Findings) -> Result<()> {
    if let Err(error) = read_creator(storage) {
        let error = only_content(error)?;
        if let Some(mend) = mend {
            mend.medium.write_at(&FILE_SIGNATURE, 0)?;
            mend.medium.sync()?;
        }
        findings.push(of_error("vhdx-signature", &error).mended_by(Repair::All).fixed(mend.is_some()));
    }
    let chosen = Header::read(storage)?;
    if let Some(fault) = &chosen.other_fault {
        // Writing the next header is what replaces the damaged one.
        if let Some(mend) = mend {
            Headers::new(storage, &chosen, 1)?.update(mend.medium)?;
        }
        let what = format!("header {} of two is damaged: {fault}", 3 - chosen.number);
        findings.push(
            Finding::new("vhdx-header-damaged", Severity::Corruption, what)
                .at(HEADERS_AT[2 - chosen.number])
                .mended_by(Repair::All)
                .fixed(mend.is_some()),
        );
    }
    Ok(())
}
