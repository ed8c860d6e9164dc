//! Passes over the image: the uses of a window of host clusters are counted, compared with the refcounts, and mended.

use imgfmt_core::{Error, Findings, Result, Target};

use super::copied;
use super::counts::{Bits, Counts, UNIT, UNIT_LEN};
use super::kinds::Kinds;
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
    /// Whether there are COPIED flags that the counts do not know.
    untold_flags: bool,
    /// Whether one of those that they know is wrong.
    wrong_flags: bool,
    /// Whether clusters are used as things that cannot both be right.
    pub(super) overlap: bool,
    /// Whether the refcount structures have to be made anew.
    pub(super) broken: bool,
}

impl<'a> Passes<'a> {
    /// Passes that do what `plan` says to `target`. `untold_flags` says whether there are COPIED flags that counts do not know.
    pub(super) fn new(
        subject: &'a Subject<'a>,
        references: &'a References,
        plan: Plan,
        target: Option<&'a dyn Target>,
        untold_flags: bool,
    ) -> Self {
        let (overlap, broken, wrong_flags) = (false, false, false);
        Self { subject, references, plan, target, highest: None, untold_flags, wrong_flags, overlap, broken }
    }

    /// Compares all counts with those that are `stored`, and tells `findings` where they differ, as mended where the plan
    /// says so. `counts` has those of what L1 and L2 entries name, in the first window.
    ///
    /// # Errors
    ///
    /// [`Io`](imgfmt_core::ErrorKind::Io); [`LimitExceeded`](imgfmt_core::ErrorKind::LimitExceeded) where the counts
    /// would take too many passes.
    pub(super) fn run(&mut self, mut counts: Counts, stored: &mut Stored<'_>, findings: &mut Findings) -> Result<()> {
        let (subject, references) = (self.subject, self.references);
        references.count_structures(subject, Some(stored), &mut counts)?;
        for _ in 0..MAX_PASSES {
            self.window(&mut counts, stored, findings)?;
            let end = counts.window().end;
            if end == u64::MAX {
                return Ok(());
            }
            counts = Counts::new(end, subject.limits.metadata_bytes);
            references.count(subject, Some(stored), &mut counts)?;
        }
        Err(too_many())
    }

    /// Compares and mends what is in the window of `counts`.
    fn window(&mut self, counts: &mut Counts, stored: &mut Stored<'_>, findings: &mut Findings) -> Result<()> {
        let mut next = counts.window().start / UNIT_LEN;
        while let Some(unit) = next_unit(next, counts, stored) {
            let wrong = self.compare(unit, counts, stored, findings)?;
            if wrong != Bits::default() {
                self.wrong_flags = true;
                counts.keep_wrong(unit, wrong);
            }
            next = unit + 1;
        }
        let plan = self.plan;
        let target = self.target.filter(|_| !plan.rebuild);
        if let Some(target) = target.filter(|_| plan.raise) {
            self.write(counts, stored, target, |stored, counted| stored.max(counted))?;
        }
        let look = self.untold_flags || std::mem::take(&mut self.wrong_flags);
        let flags = look && copied::check(self, counts, stored, findings)?;
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

    /// Compares the clusters of unit `unit`, and returns which of them have COPIED flags that are wrong.
    fn compare(&mut self, unit: u64, counts: &Counts, stored: &Stored<'_>, findings: &mut Findings) -> Result<Bits> {
        let mut known = [0; UNIT];
        stored.get_run(unit * UNIT_LEN, &mut known)?;
        let (first, counted) = (unit * UNIT_LEN, counts.unit(unit));
        let mut wrong = Bits::default();
        for (block, known) in known.chunks_exact(64).enumerate() {
            let mut once = 0u64;
            for (bit, &known) in known.iter().enumerate() {
                let index = block * 64 + bit;
                let (used, kinds) = counted.uses(index);
                let now = if known == used && !kinds.overlap(used) {
                    if used > 0 {
                        self.highest = Some(first + index as u64);
                    }
                    used
                } else {
                    self.differs(first + index as u64, known, (used, kinds), stored, findings)
                };
                once |= u64::from(now == 1) << bit;
            }
            let (copied, bare) = counted.flags(block);
            wrong[block] = (copied & !once) | (bare & once);
        }
        Ok(wrong)
    }

    /// Tells of a cluster whose refcount is not how often it is used, or that is used as too much; returns what becomes of the
    /// refcount.
    fn differs(
        &mut self,
        cluster: u64,
        known: u64,
        (used, kinds): (u64, Kinds),
        stored: &Stored<'_>,
        findings: &mut Findings,
    ) -> u64 {
        // Of what the file does not have, only what is used matters.
        if used == 0 && cluster >= self.subject.clusters() {
            return known;
        }
        let (at, max) = (cluster << self.subject.cluster().bits(), self.subject.width().max());
        let counted = used.min(max);
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
        if kinds.overlap(used) {
            let elsewhere = !kinds.overlap_beside_refcounts(used);
            self.overlap |= !elsewhere;
            self.broken |= kinds.refcounts();
            let rule = if elsewhere { rules::OVERLAP_REFCOUNTS } else { rules::OVERLAP };
            let what = format!("cluster {cluster} is used {used} times as {}", kinds.names());
            findings.push(rule.finding(what).at(at).fixed(elsewhere && self.plan.rebuild));
        }
        now
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
        let mut next = counts.window().start / UNIT_LEN;
        while let Some(unit) = next_unit(next, counts, stored) {
            next = unit + 1;
            let (mut known, mut counted) = ([0; UNIT], [0; UNIT]);
            stored.get_run(unit * UNIT_LEN, &mut known)?;
            counts.get_unit(unit, &mut counted);
            let mut wanted = known;
            for (cluster, (wanted, &counted)) in (unit * UNIT_LEN..).zip(wanted.iter_mut().zip(&counted)) {
                if counted > 0 || cluster < clusters {
                    *wanted = change(*wanted, counted.min(max));
                }
            }
            if wanted != known {
                stored.set_run(target, unit * UNIT_LEN, &wanted)?;
                wrote = true;
            }
        }
        if wrote { target.sync() } else { Ok(()) }
    }
}

/// The first unit from `unit` on in the window of `counts` that has a use or a refcount.
fn next_unit(unit: u64, counts: &Counts, stored: &Stored<'_>) -> Option<u64> {
    let next = [counts.next_unit(unit), stored.next_unit(unit)].into_iter().flatten().min()?;
    counts.window().contains(&(next * UNIT_LEN)).then_some(next)
}

/// The error that an image has more clusters than can be counted.
pub(super) fn too_many() -> Error {
    Error::limit(format!("the host clusters of the image take more than {MAX_PASSES} passes to count"))
}

/// Passes over an image: one is enough for a terabyte in the usual clusters.
pub(super) const MAX_PASSES: usize = 1024;
