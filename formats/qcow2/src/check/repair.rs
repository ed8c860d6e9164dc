//! A check, and a repair: in which order things are looked at, and written.
//!
//! | Step | Written | Where a cut leaves the image |
//! |---|---|---|
//! | autoclear | unknown bits, in the header | as it was: nothing else had changed |
//! | entries | what is no part of an entry | as it was, or with a refcount too high |
//! | rebuild | new refcount structures; flushed, then named by the header | with the old ones, or the new ones |
//! | raise | refcounts that are too low; flushed | with some of them raised: each one is better for it |
//! | flags | COPIED; flushed | a flag that is set belongs to a cluster that is used once |
//! | lower | refcounts that are too high; flushed | with some leaks left |
//! | bits | dirty, corrupt | with a bit that tells of what is mended |

use imgfmt_core::{CheckStats, Findings, Limits, Medium, Repair, Result, Severity, Storage, Target};

use super::bits;
use super::counts::Counts;
use super::entries::{Look, Seen};
use super::pass::Passes;
use super::plan::{Plan, Survey};
use super::rebuild::rebuild;
use super::references::References;
use super::stored::Stored;
use super::subject::Subject;

/// Looks at the image in `storage`.
///
/// # Errors
///
/// As [`Check::check`](imgfmt_core::Check::check).
pub(super) fn check(storage: &dyn Storage, limits: &Limits, findings: &mut Findings) -> Result<CheckStats> {
    survey(storage, limits, findings).map(|(stats, _)| stats)
}

/// Mends what `repair` allows of the image in `medium`.
///
/// # Errors
///
/// As [`Check::repair`](imgfmt_core::Check::repair).
pub(super) fn repair(
    medium: &dyn Medium,
    repair: Repair,
    limits: &Limits,
    findings: &mut Findings,
) -> Result<CheckStats> {
    let mut first = Findings::new();
    let (stats, survey) = survey(medium, limits, &mut first)?;
    if first.total() == 0 {
        return Ok(stats);
    }
    let plan = Plan::new(repair, survey);
    let before = bad(findings);
    let subject = Subject::read(medium, limits, plan.rebuild, findings)?;
    let features = subject.header.features;
    bits::tell_autoclear(features, plan.header, findings);
    if plan.header {
        bits::clear_autoclear(features, medium)?;
    }
    let (mut stats, references) = {
        let looked = look(&subject, plan, Some(medium), findings)?;
        (looked.stats, looked.references)
    };
    if plan.rebuild {
        let stored = Stored::read(&subject, true, &mut Findings::new())?;
        rebuild(&subject, &references, &stored, medium)?;
        // What is left to do takes the new structures; all of it has been told.
        let plan = Plan { rebuild: false, ..plan };
        let mut told = Findings::new();
        let subject = Subject::read(medium, limits, false, &mut told)?;
        stats = look(&subject, plan, Some(medium), &mut told)?.stats;
    }
    let mended = plan.bits && bad(findings) == before;
    bits::tell(features, mended, findings);
    if mended {
        bits::clear(features, medium)?;
    }
    Ok(stats)
}

/// Looks at the image in `storage`, and finds what decides about its repair.
fn survey(storage: &dyn Storage, limits: &Limits, findings: &mut Findings) -> Result<(CheckStats, Survey)> {
    let subject = Subject::read(storage, limits, false, findings)?;
    bits::tell(subject.header.features, false, findings);
    bits::tell_autoclear(subject.header.features, false, findings);
    look(&subject, Plan::CHECK, None, findings).map(|looked| (looked.stats, looked.survey))
}

/// What a look at everything gives.
struct Looked {
    /// What was counted.
    stats: CheckStats,
    /// What decides about a repair.
    survey: Survey,
    /// What uses clusters.
    references: References,
}

/// Looks at everything, does to `medium` what `plan` says but for what is rebuilt, and tells `findings` of it all.
fn look(subject: &Subject<'_>, plan: Plan, target: Option<&dyn Target>, findings: &mut Findings) -> Result<Looked> {
    let references = References::find(subject, findings)?;
    let mut counts = Counts::new(0, subject.limits.metadata_bytes);
    let mend = target.filter(|_| plan.entries);
    let Seen { stats, incomplete, cut, table_cut, wrote, untold_flags } =
        Look::at(subject, &references, mend, &mut counts, findings)?;
    if let Some(target) = target.filter(|_| wrote) {
        target.sync()?;
    }
    let mut stored = Stored::read(subject, plan.rebuild, findings)?;
    let mut passes = Passes::new(subject, &references, plan, target, untold_flags);
    passes.run(counts, &mut stored, findings)?;
    let end = passes.highest.map_or(0, |cluster| cluster + 1) << subject.cluster().bits();
    let survey = Survey {
        broken: stored.broken || passes.broken,
        overlap: passes.overlap,
        incomplete: references.incomplete || incomplete,
        table_cut,
        cut,
    };
    Ok(Looked { stats: CheckStats { image_end: Some(end), ..stats }, survey, references })
}

/// How much is wrong and has not been mended.
fn bad(findings: &Findings) -> u64 {
    findings.open(Severity::Corruption) + findings.open(Severity::Unchecked)
}
