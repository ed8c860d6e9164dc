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
use super::entries::Look;
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
    let subject = Subject::read(storage, limits, false, findings)?;
    bits::tell(subject.header.features, false, findings);
    bits::tell_autoclear(subject.header.features, false, findings);
    look(&subject, Plan::CHECK, None, findings).map(|(stats, _)| stats)
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
    let survey = survey(medium, limits)?;
    let plan = Plan::new(repair, survey);
    let before = bad(findings);
    let subject = Subject::read(medium, limits, plan.rebuild, findings)?;
    let features = subject.header.features;
    bits::tell_autoclear(features, plan.header, findings);
    if plan.header {
        bits::clear_autoclear(features, medium)?;
    }
    let (mut stats, references) = look(&subject, plan, Some(medium), findings)?;
    if plan.rebuild {
        let stored = Stored::read(&subject, true, &mut Findings::new())?;
        rebuild(&subject, &references, &stored, medium)?;
        // What is left to do takes the new structures; all of it has been told.
        let plan = Plan { rebuild: false, ..plan };
        let mut told = Findings::new();
        let subject = Subject::read(medium, limits, false, &mut told)?;
        stats = look(&subject, plan, Some(medium), &mut told)?.0;
    }
    let mended = plan.bits && bad(findings) == before;
    bits::tell(features, mended, findings);
    if mended {
        bits::clear(features, medium)?;
    }
    Ok(stats)
}

/// What decides about the repair of the image in `storage`.
fn survey(storage: &dyn Storage, limits: &Limits) -> Result<Survey> {
    let mut unheard = Findings::new();
    let subject = Subject::read(storage, limits, false, &mut unheard)?;
    let references = References::find(&subject, &mut unheard)?;
    let look = Look::at(&subject, &references, None, &mut unheard)?;
    let mut stored = Stored::read(&subject, false, &mut unheard)?;
    let mut passes = Passes::new(&subject, &references, Plan::CHECK, None);
    passes.run(&mut stored, &mut unheard)?;
    Ok(Survey {
        broken: stored.broken || passes.broken,
        overlap: passes.overlap,
        incomplete: references.incomplete || look.incomplete,
        table_cut: look.table_cut,
        cut: look.cut,
    })
}

/// Looks at everything, does to `medium` what `plan` says but for what is rebuilt, and tells `findings` of it all.
fn look(
    subject: &Subject<'_>,
    plan: Plan,
    target: Option<&dyn Target>,
    findings: &mut Findings,
) -> Result<(CheckStats, References)> {
    let references = References::find(subject, findings)?;
    let look = Look::at(subject, &references, target.filter(|_| plan.entries), findings)?;
    if let Some(target) = target.filter(|_| look.wrote) {
        target.sync()?;
    }
    let mut stored = Stored::read(subject, plan.rebuild, findings)?;
    let mut passes = Passes::new(subject, &references, plan, target);
    passes.run(&mut stored, findings)?;
    let end = passes.highest.map_or(0, |cluster| cluster + 1) << subject.cluster().bits();
    Ok((CheckStats { image_end: Some(end), ..look.stats }, references))
}

/// How much is wrong and has not been mended.
fn bad(findings: &Findings) -> u64 {
    findings.open(Severity::Corruption) + findings.open(Severity::Unchecked)
}
