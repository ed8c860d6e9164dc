//! COPIED flags of the active state: each says whether the refcount of what its entry names is 1.

use imgfmt_core::{Findings, Repair, Result};

use super::counts::Counts;
use super::entries::write_words;
use super::l2::{Class, L2Rules};
use super::pass::Passes;
use super::rules::{self, Rule};
use super::stored::Stored;
use super::tables::{L2Table, each_table};
use crate::layout::{COPIED, OFFSET_MASK, TABLE_ENTRY_LEN};

/// What is known of the refcounts of a window.
struct Known<'a> {
    /// The passes.
    passes: &'a Passes<'a>,
    /// The uses that were counted.
    counts: &'a Counts,
    /// The refcounts.
    stored: &'a Stored<'a>,
}

/// What a flag has to say.
struct Wanted {
    /// The refcount.
    refcount: u64,
    /// Whether to make the flag say so makes nothing worse. Not where more entries have the cluster than its refcount says: one
    /// that could be written in place is not told so, and one that is about to be copied stays.
    safe: bool,
    /// Whether the flag is to be changed.
    mend: bool,
}

/// Checks the flags of what lies in the window of `counts`, and mends them as the plan of `passes` says; whether anything
/// was written.
///
/// # Errors
///
/// [`Io`](imgfmt_core::ErrorKind::Io).
pub(super) fn check(
    passes: &Passes<'_>,
    counts: &Counts,
    stored: &Stored<'_>,
    findings: &mut Findings,
) -> Result<bool> {
    let known = Known { passes, counts, stored };
    let mut wrote = false;
    for l1 in passes.references.active() {
        l1.each_entry(passes.subject, &mut |index, raw| {
            let host = raw & OFFSET_MASK;
            let Some(wanted) = known.wanted(host)?.filter(|wanted| host != 0 && wanted.differs(raw)) else {
                return Ok(());
            };
            let at = l1.host + index * TABLE_ENTRY_LEN;
            let refcount = wanted.refcount;
            let what = format!("OFLAG_COPIED L2 cluster: l1_index={index} l1_entry={raw:x} refcount={refcount}");
            findings.push(wanted.rule(rules::L1_COPIED).finding(what).at(at).fixed(wanted.mend));
            if let Some(target) = passes.target.filter(|_| wanted.mend && !passes.plan.rebuild) {
                target.write_at(&(raw ^ COPIED).to_be_bytes(), at)?;
                wrote = true;
            }
            Ok(())
        })?;
    }
    each_table(passes.subject, passes.references.active(), &mut |table, words| {
        wrote |= known.check_table(table, words, findings)?;
        Ok(())
    })?;
    Ok(wrote)
}

impl Known<'_> {
    /// Checks the entries of an L2 table.
    fn check_table(&self, table: L2Table, words: &mut [u64], findings: &mut Findings) -> Result<bool> {
        let subject = self.passes.subject;
        let rules = L2Rules::new(subject);
        let word_bits = subject.header.l2.entry_word_bits();
        let target = self.passes.target.filter(|_| !self.passes.plan.rebuild);
        let old = target.map(|_| words.to_vec());
        for at in (0..words.len()).step_by(1 << word_bits) {
            let raw = words[at];
            let bitmap = if word_bits > 0 { words[at + 1] } else { 0 };
            // Of most entries it is known already.
            if let Some(host) = rules.ordinary([raw, bitmap])
                && !self.counts.is_wrong(host >> subject.cluster().bits())
            {
                continue;
            }
            let Class::Plain(host) = rules.class(raw) else { continue };
            let wanted = if rules.external() { self.external() } else { self.wanted(host)? };
            let Some(wanted) = wanted.filter(|wanted| wanted.differs(raw)) else { continue };
            let what = format!("OFLAG_COPIED data cluster: l2_entry={raw:x} refcount={}", wanted.refcount);
            let place = table.host + at as u64 * TABLE_ENTRY_LEN;
            let finding = wanted.rule(rules::L2_COPIED).finding(what).at(place).fixed(wanted.mend);
            findings.push(match table.active {
                Some(l1) => finding.guest(self.guest(l1, at as u64 >> word_bits)),
                None => finding,
            });
            if wanted.mend {
                words[at] ^= COPIED;
            }
        }
        match (target, old) {
            (Some(target), Some(old)) => write_words(target, table.host, &old, words),
            _ => Ok(false),
        }
    }

    /// The guest byte of entry `index` of the table that the active entry `l1` names.
    fn guest(&self, l1: u64, index: u64) -> u64 {
        let header = &self.passes.subject.header;
        l1.checked_shl(header.l2.span_bits()).unwrap_or(0).saturating_add(index << header.cluster.bits())
    }

    /// What the flag of an entry with host byte `host` has to say, where that is in the window.
    fn wanted(&self, host: u64) -> Result<Option<Wanted>> {
        let cluster = host >> self.passes.subject.cluster().bits();
        if !self.counts.window().contains(&cluster) {
            return Ok(None);
        }
        let (stored, plan) = (self.stored.get(cluster)?, self.passes.plan);
        let used = self.counts.get(cluster);
        let counted = used.min(self.passes.subject.width().max());
        // What the file does not have and nothing uses keeps its refcount.
        let kept = counted == 0 && cluster >= self.passes.subject.clusters() && !plan.rebuild;
        let refcount = if kept { stored } else { plan.refcount(stored, counted) };
        let safe = refcount > 1 || refcount >= used;
        Ok(Some(Wanted { refcount, safe, mend: plan.flags && safe }))
    }

    /// What the flag of a cluster in a data file has to say: it is nobody else's.
    fn external(&self) -> Option<Wanted> {
        let first = self.counts.window().start == 0;
        first.then_some(Wanted { refcount: 1, safe: true, mend: self.passes.plan.flags })
    }
}

impl Wanted {
    /// Whether the flag of `raw` says something else.
    fn differs(&self, raw: u64) -> bool {
        (raw & COPIED != 0) != (self.refcount == 1)
    }

    /// `rule`, or the same with the repair that it takes here: a refcount that is too low comes first.
    fn rule(&self, rule: Rule) -> Rule {
        if self.safe { rule } else { Rule { repair: Some(Repair::All), ..rule } }
    }
}
