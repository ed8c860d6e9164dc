//! Images that a machine left without closing them: mended before they are changed, as QEMU does.

use imgfmt::convert::Convert;
use imgfmt::{CheckRequest, Repair, Severity};

use super::check;
use super::fault::Fault;
use super::image::Image;
use super::setting::Setting;
use crate::render::text::printable;

/// Mends a qcow2 image that says that its refcounts may be stale, and tells of what was mended on standard error. Only what can be
/// counted anew from the tables was not written, so nothing that the disk holds is lost.
///
/// # Errors
///
/// Where damage is left.
pub(crate) fn mend_unclean(image: &Image, setting: &Setting) -> Result<(), Fault> {
    // What cannot be opened, whoever changes it says.
    let is_unclean = |image| setting.describe(image, false).is_ok_and(|info| info.description.dirty);
    if image.format_name() != QCOW2 || image.is_corrupt() || !is_unclean(image) {
        return Ok(());
    }
    let request = CheckRequest {
        repair: Some(Repair::All),
        threads: Convert::default().threads,
        access: setting.access(image),
        ..CheckRequest::new(&image.path)
    };
    let request = CheckRequest { source: image.source(), ..request };
    let report = imgfmt::check(&request).map_err(|error| image.cannot_open(&error))?;
    check::tell(&report);
    let left = report.after_repair.as_ref().unwrap_or(&report.findings);
    if left.open(Severity::Corruption) + left.open(Severity::Unchecked) == 0 {
        return Ok(());
    }
    let name = printable(&image.given);
    Err(Fault::new(format!("Could not open '{name}': Could not repair dirty image: Input/output error")))
}

/// The format whose images say so.
const QCOW2: &str = "qcow2";
