//! Grains of which the two tables do not say the same.

use imgfmt_core::{Finding, Limits, Repair, Result, Severity};

use super::extent::{Mends, Scope, Subject};
use super::job::Job;
use crate::layout::{ENTRY_LEN, byte_of};

/// A grain of which the two tables differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pair {
    /// The number of the grain.
    pub(super) grain: u64,
    /// The sectors of both tables.
    pub(super) tables: [u64; 2],
    /// The entries of both.
    pub(super) entries: [u64; 2],
    /// Which of the entries cannot be right.
    pub(super) bad: [bool; 2],
}

/// The grains of an extent of which the two tables differ.
#[derive(Debug, Default)]
pub(super) struct Pairs {
    /// The first of them.
    pub(super) kept: Vec<Pair>,
    /// How many there are besides.
    left_out: u64,
}

impl Pairs {
    /// Adds one.
    pub(super) fn add(&mut self, pair: Pair, limits: &Limits) {
        let most = limits.metadata_bytes / size_of::<Pair>() as u64;
        if (self.kept.len() as u64) < most {
            self.kept.push(pair);
        } else {
            self.left_out += 1;
        }
    }

    /// Tells of all of them, and mends those of which one entry is right.
    pub(super) fn settle(&self, job: &mut Job<'_, '_>, subject: &Subject<'_>, scope: Scope) -> Result<()> {
        for pair in &self.kept {
            settle_one(job, subject, pair, scope)?;
        }
        if self.left_out > 0 {
            let what = format!("{} more grains differ between the tables: too many to look at at once", self.left_out);
            job.tell(Finding::new("vmdk-tables-unchecked", Severity::Unchecked, what));
        }
        Ok(())
    }
}

/// Which of the two entries is to be taken, if it is known; else neither.
fn choice(pair: &Pair, unclean: bool) -> Option<usize> {
    match (pair.bad, pair.entries) {
        ([false, true], _) => Some(0),
        ([true, false], _) => Some(1),
        // What readers go by; where the redundant table has nothing, or may not have come to it, nothing is lost.
        ([false, false], [_, spare]) if unclean || spare == 0 => Some(0),
        _ => None,
    }
}

/// Tells of one, and mends it.
fn settle_one(job: &mut Job<'_, '_>, subject: &Subject<'_>, pair: &Pair, scope: Scope) -> Result<()> {
    let choice = choice(pair, subject.unclean);
    let [entry, spare] = pair.entries;
    let (id, what) = match (pair.bad, choice) {
        ([true, true], _) => ("vmdk-table-entry", "neither can be right"),
        (_, Some(1)) => ("vmdk-table-entry", "the first cannot be right"),
        ([false, true], _) => ("vmdk-redundant-table-entry", "the second cannot be right"),
        _ => ("vmdk-tables-differ", "both could be"),
    };
    let slot = pair.grain % u64::from(subject.header.gtes_per_gt) * ENTRY_LEN;
    let at = |table: u64| byte_of(table).saturating_add(slot);
    let what = format!("grain {} is at sector {entry}, or by the redundant table {spare}: {what}", pair.grain);
    let finding = Finding::new(id, Severity::Corruption, what).at(at(pair.tables[0]));
    let finding = finding.guest(pair.grain * subject.header.grain_len());
    let finding = if choice.is_some() { finding.mended_by(Repair::All) } else { finding };
    let mends = match scope.mends {
        Mends::Nothing => false,
        Mends::Wrong => pair.bad != [false, false] && job.mends_it(&finding),
        Mends::All => job.mends_it(&finding),
    };
    if let Some(right) = choice.filter(|_| mends) {
        let entry = u32::try_from(pair.entries[right]).unwrap_or(0);
        subject.file.target()?.write_at(&entry.to_le_bytes(), at(pair.tables[1 - right]))?;
    }
    job.tell(finding.fixed(mends));
    Ok(())
}
