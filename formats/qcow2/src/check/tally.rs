//! What L1 and L2 entries add to the counts.

use super::counts::Counts;
use super::kinds::Kind;
use super::l2::{Class, L2Rules};
use super::subject::Subject;
use super::tables::L2Table;
use crate::layout::{COPIED, OFFSET_MASK};

/// Counts the uses that entries tell of.
pub(super) struct Tally<'a> {
    /// The image.
    subject: &'a Subject<'a>,
    /// How L2 entries are read.
    rules: L2Rules,
    /// The counts.
    counts: &'a mut Counts,
    /// Whether an entry of the active state was seen whose COPIED flag the counts do not know.
    pub(super) untold: bool,
}

impl<'a> Tally<'a> {
    /// Counts in `counts`.
    pub(super) fn new(subject: &'a Subject<'a>, counts: &'a mut Counts) -> Self {
        Self { subject, rules: L2Rules::new(subject), counts, untold: false }
    }

    /// Takes note of the flag of an L1 entry of the active state. The table that it names is counted on its own.
    pub(super) fn l1_entry(&mut self, raw: u64) {
        let (cluster, host) = (self.subject.cluster(), raw & OFFSET_MASK);
        if host == 0 {
            return;
        }
        if cluster.aligns(host) && self.subject.region(host, cluster.len()).is_some() {
            self.counts.note_flag(host >> cluster.bits(), raw & COPIED != 0);
        } else {
            self.untold = true;
        }
    }

    /// Counts an L2 table.
    pub(super) fn table(&mut self, table: &L2Table) {
        if let Some(range) = self.subject.region(table.host, self.subject.cluster().len()) {
            self.counts.add(range, table.times, Kind::Table);
        }
    }

    /// Counts the cluster at host byte `host` that entry `raw` of a table names, and takes note of its flag.
    /// [`L2Rules::ordinary`] says that it is such an entry.
    pub(super) fn ordinary(&mut self, host: u64, raw: u64, table: &L2Table) {
        let cluster = host >> self.subject.cluster().bits();
        self.counts.add_one(cluster, table.times, Kind::Data);
        if table.active.is_some() {
            self.counts.note_flag(cluster, raw & COPIED != 0);
        }
    }

    /// Counts what an entry of a table names.
    pub(super) fn entry(&mut self, words: [u64; 2], table: &L2Table) {
        let raw = words[0];
        if let Some(host) = self.rules.ordinary(words) {
            self.ordinary(host, raw, table);
            return;
        }
        if let Some((host, len, kind)) = self.rules.uses(raw)
            && let Some(range) = self.subject.region(host, len)
        {
            self.counts.add(range, table.times, kind);
        }
        self.untold |= table.active.is_some() && matches!(self.rules.class(raw), Class::Plain(_));
    }
}
