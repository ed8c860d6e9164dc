//! Space that nothing uses.

use imgfmt_core::storage::is_device;
use imgfmt_core::{Finding, Findings, Repair, Result, Severity, Storage};

use super::Mend;
use super::table::Walk;
use crate::layout::ALIGN;

/// Looks at the space of `storage`, whose table has been walked.
///
/// What lies behind everything in use has been left there by a writer that was cut, unless it is the rest of a device, or
/// room that QEMU leaves. Gaps
/// between blocks are no fault: blocks that are discarded leave them, and the next ones fill them.
///
/// # Errors
///
/// [`Io`](imgfmt_core::ErrorKind::Io).
pub(super) fn look(
    walk: &Walk<'_>,
    is_fixed: bool,
    storage: &dyn Storage,
    mend: Option<Mend<'_>>,
    findings: &mut Findings,
) -> Result<()> {
    let block_len = walk.block_len();
    for gap in walk.gaps().into_iter().filter(|gap| gap.end - gap.start >= block_len) {
        let what = format!("{} bytes between blocks are free", gap.end - gap.start);
        findings.push(Finding::new("vhdx-space-free", Severity::Warning, what).at(gap.start));
    }
    let (end, len) = (walk.end(), storage.len());
    let free = end.saturating_add(walk.room(is_fixed));
    if len < free.saturating_add(ALIGN) || is_device(storage)? {
        return Ok(());
    }
    // A file that holds things that the table does not name rightly is not cut.
    let mend = mend.filter(|_| walk.is_whole());
    if let Some(mend) = mend {
        mend.medium.set_len(end)?;
        mend.medium.sync()?;
    }
    // Blocks are counted, as long as they can be.
    let step = block_len.max((len - free) / MAX_LEAKS);
    for at in (free..len).step_by(usize::try_from(step).unwrap_or(usize::MAX)) {
        let what = format!("{} bytes behind everything in use are not used", step.min(len - at));
        let finding = Finding::new("vhdx-space-leaked", Severity::Leak, what).at(at);
        let repair = walk.is_whole().then_some(Repair::Leaks);
        findings.push(Finding { repair, ..finding }.fixed(mend.is_some()));
    }
    Ok(())
}

/// Leaks that are told of at most, so that a long file without blocks is looked at in time.
const MAX_LEAKS: u64 = 1 << 20;
