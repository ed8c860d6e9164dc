//! Passes over the image: the uses of a window of host clusters are counted, compared with the refcounts, and mended.

use imgfmt_core::{Error, Findings, Result, Target};

use super::copied;
use super::counts::{Counts, UNIT, UNIT_LEN};
use super::plan::Plan;
use super::references::References;
use super::rules;
use super::stored::Stored;
use super::subject::Subject;

/// All passes over an image.
pub(super) struct Passes<'a> {
    /// The image.
    pub(super) subject: &'a Subject<'a>,
    /// What uses its clusters.
    pub(super) references: &'a References,
    /// What is to be done.
    pub(super) plan: Plan,
    /// Where it is done; nothing is where there is no target.
    pub(super) target: Option<&'a dyn Target>,
    /// The last cluster that is in use.
    pub(super) highest: Option<u64>,
    /// Whether clusters are used as things that cannot both be right.
    pub(super) overlap: bool,
    /// Whether the refcount structures have to be made anew.
    pub(super) broken: bool,
}

impl<'a> Passes<'a> {
    /// Passes that do what `plan` says to `target`.
    pub(super) fn new(
        subject: &'a Subject<'a>,
        references: &'a References,
        plan: Plan,
        target: Option<&'a dyn Target>,
    ) -> Self {
        Self { subject, references, plan, target, highest: None, overlap: false, broken: false }
    }

    /// Compares all counts with those that are `stored`, and tells `findings` where they differ, as mended where the plan
    /// says so.
    ///
    /// # Errors
    ///
    /// [`Io`](imgfmt_core::ErrorKind::Io); [`LimitExceeded`](imgfmt_core::ErrorKind::LimitExceeded) where the counts
    /// would take too many passes.
    pub(super) fn run(&mut self, stored: &mut Stored<'_>, findings: &mut Findings) -> Result<()> {
        let (subject, references) = (self.subject, self.references);
        let mut first = Some(0);
        for _ in 0..MAX_PASSES {
            let Some(start) = first else { return Ok(()) };
            let mut counts = Counts::new(start, subject.limits.metadata_bytes);
            references.count(subject, Some(stored), &mut counts)?;
            self.window(&counts, stored, findings)?;
            first = Some(counts.window().end).filter(|&end| end < u64::MAX);
        }
        Err(too_many())
    }

    /// Compares and mends what is in the window of `counts`.
    fn window(&mut self, counts: &Counts, stored: &mut Stored<'_>, findings: &mut Findings) -> Result<()> {
        each_unit(counts, stored, &mut |unit, stored| self.compare(unit, counts, stored, findings))?;
        let plan = self.plan;
        let target = self.target.filter(|_| !plan.rebuild);
        if let Some(target) = target.filter(|_| plan.raise) {
            self.write(counts, stored, target, |stored, counted| stored.max(counted))?;
        }
        let flags = copied::check(self, counts, stored, findings)?;
        if let Some(target) = target {
            if flags {
                target.sync()?;
            }
            if plan.lower {
                self.write(counts, stored, target, |stored, counted| stored.min(counted))?;
            }
        }
        Ok(())
    }

    /// Compares the clusters of unit `unit`.
    fn compare(&mut self, unit: u64, counts: &Counts, stored: &mut Stored<'_>, findings: &mut Findings) -> Result<()> {
        let (mut known, mut counted) = ([0; UNIT], [0; UNIT]);
        stored.get_run(unit * UNIT_LEN, &mut known)?;
        counts.get_unit(unit, &mut counted);
        let (clusters, bits, max) =
            (self.subject.clusters(), self.subject.cluster().bits(), self.subject.width().max());
        for (cluster, (&known, &used)) in (unit * UNIT_LEN..).zip(known.iter().zip(&counted)) {
            // Of what the file does not have, only what is used matters.
            if (known | used) == 0 || (used == 0 && cluster >= clusters) {
                continue;
            }
            let (at, counted) = (cluster << bits, used.min(max));
            let now = self.plan.refcount(known, counted);
            if now > 0 || counted > 0 {
                self.highest = Some(cluster);
            }
            if known != counted {
                let rule = if known > counted { rules::REFCOUNT_HIGH } else { rules::REFCOUNT_LOW };
                let what = format!("cluster {cluster} refcount={known} reference={counted}");
                findings.push(rule.finding(what).at(at).fixed(now == counted));
            }
            if used > max {
                let what = format!("overflow cluster offset=0x{at:x} reference={used}");
                findings.push(rules::REFCOUNT_OVERFLOW.finding(what).at(at));
            }
            self.broken |= counted > 0 && !stored.has_block(cluster);
            let kinds = counts.kinds(cluster);
            if kinds.overlap(used) {
                let elsewhere = !kinds.overlap_beside_refcounts(used);
                self.overlap |= !elsewhere;
                self.broken |= kinds.refcounts();
                let rule = if elsewhere { rules::OVERLAP_REFCOUNTS } else { rules::OVERLAP };
                let what = format!("cluster {cluster} is used {used} times as {}", kinds.names());
                findings.push(rule.finding(what).at(at).fixed(elsewhere && self.plan.rebuild));
            }
        }
        Ok(())
    }

    /// Writes what `change` makes of each stored refcount and its count, and waits until it is on the medium.
    fn write(
        &self,
        counts: &Counts,
        stored: &mut Stored<'_>,
        target: &dyn Target,
        change: fn(u64, u64) -> u64,
    ) -> Result<()> {
        let (clusters, max) = (self.subject.clusters(), self.subject.width().max());
        let mut wrote = false;
        each_unit(counts, stored, &mut |unit, stored| {
            let (mut known, mut counted) = ([0; UNIT], [0; UNIT]);
            stored.get_run(unit * UNIT_LEN, &mut known)?;
            counts.get_unit(unit, &mut counted);
            let mut next = known;
            for (cluster, (next, &counted)) in (unit * UNIT_LEN..).zip(next.iter_mut().zip(&counted)) {
                if counted > 0 || cluster < clusters {
                    *next = change(*next, counted.min(max));
                }
            }
            if next != known {
                stored.set_run(target, unit * UNIT_LEN, &next)?;
                wrote = true;
            }
            Ok(())
        })?;
        if wrote { target.sync() } else { Ok(()) }
    }
}

/// Calls `visit` with every unit of the window of `counts` that has a use or a refcount.
fn each_unit(
    counts: &Counts,
    stored: &mut Stored<'_>,
    visit: &mut dyn FnMut(u64, &mut Stored<'_>) -> Result<()>,
) -> Result<()> {
    let mut unit = counts.window().start / UNIT_LEN;
    loop {
        let next = [counts.next_unit(unit), stored.next_unit(unit)].into_iter().flatten().min();
        let Some(next) = next.filter(|next| counts.window().contains(&(next * UNIT_LEN))) else { return Ok(()) };
        visit(next, stored)?;
        unit = next + 1;
    }
}

/// The error that an image has more clusters than can be counted.
pub(super) fn too_many() -> Error {
    Error::limit(format!("the host clusters of the image take more than {MAX_PASSES} passes to count"))
}

/// Passes over an image: one is enough for a terabyte in the usual clusters.
pub(super) const MAX_PASSES: usize = 1024;
