//! What a descriptor says that cannot be right.

use imgfmt_core::{Error, Finding, Limits, Severity};

use super::job::Job;
use crate::descriptor::Descriptor;
use crate::layout::byte_of;

/// The finding about a descriptor that cannot be read.
pub(super) fn broken(error: &Error) -> Finding {
    let (id, about) = match error.field_name() {
        Some("CID" | "parentCID") => ("vmdk-cid-invalid", "a content identity"),
        _ => ("vmdk-descriptor-invalid", "the descriptor"),
    };
    let finding = Finding::new(id, Severity::Corruption, format!("{about} cannot be read: {error}"));
    match error.offset() {
        Some(offset) => finding.at(offset),
        None => finding,
    }
}

/// Checks what has no bearing on where bytes are, in a descriptor that lies at byte `at`.
pub(super) fn check(job: &mut Job<'_, '_>, descriptor: &Descriptor, at: u64) {
    if descriptor.cid.is_none() && descriptor.create_type.is_none() && descriptor.extents.is_empty() {
        let what = "the descriptor says neither CID, nor createType, nor extents: other programs cannot open the image";
        job.tell(Finding::new("vmdk-descriptor-lost", Severity::Corruption, what).at(at));
    } else if descriptor.cid.is_none() {
        let what = "the descriptor has no CID, so children could not know the disk";
        job.tell(Finding::new("vmdk-cid-missing", Severity::Warning, what));
    }
    if let Err(error) = crate::parent::of(descriptor) {
        let what = format!("the parent is not named: {error}");
        job.tell(Finding::new("vmdk-parent-unnamed", Severity::Corruption, what));
    }
    let size = descriptor.extents.iter().fold(0u64, |sum, line| sum.saturating_add(byte_of(line.sectors)));
    if let Err(error) = Limits::check("virtual size", size, job.context.limits.virtual_size.min(i64::MAX as u64)) {
        job.tell(Finding::new("vmdk-size", Severity::Corruption, format!("the disk is too large: {error}")));
    }
    if let Some(what) = geometry_fault(descriptor) {
        job.tell(Finding::new("vmdk-geometry", Severity::Warning, what));
    }
}

/// What is wrong with the geometry, where there is one.
fn geometry_fault(descriptor: &Descriptor) -> Option<String> {
    let words = ["geometry.cylinders", "geometry.heads", "geometry.sectors"].map(|key| descriptor.database(key));
    let [Some(cylinders), Some(heads), Some(sectors)] = words else { return None };
    let numbers = [cylinders, heads, sectors].map(|word| word.parse::<u64>().ok());
    let [Some(cylinders), Some(heads), Some(per_track)] = numbers else {
        return Some(format!("the geometry is {cylinders} by {heads} by {sectors}, which are not all numbers"));
    };
    let all = descriptor.extents.iter().fold(0u64, |sum, line| sum.saturating_add(line.sectors));
    let cylinder = heads.saturating_mul(per_track);
    let shaped = cylinders.saturating_mul(cylinder);
    // A disk that is smaller than a cylinder has one all the same.
    (shaped > all && cylinders > 1)
        .then(|| format!("the geometry is that of a disk of {shaped} sectors, and this one has {all}"))
}
