//! From one version to the other: what the other does not have is put in its terms first.

use std::collections::BTreeSet;

use imgfmt_core::{Error, Result};

use super::disk::Disk;
use super::flush::bytes_of;
use super::snapshots::snapshot_l1;
use super::table::Row;
use crate::entry::Entry;
use crate::layout::{COPIED, OFFSET_MASK, ZERO};

/// L2 tables that have changed and are not written yet: host byte, words.
type Pending = Vec<(u64, Vec<u64>)>;

impl Disk<'_> {
    /// The entries of the snapshot table.
    ///
    /// # Errors
    ///
    /// As [`Row::read_all`].
    pub(super) fn snapshots(&self) -> Result<Vec<Row>> {
        Row::read_all(self.medium.as_ref(), &self.header, self.context.limits)
    }

    /// Makes the header one of `version`, in one write.
    ///
    /// # Errors
    ///
    /// As [`Head::rewrite`](super::head::Head::rewrite).
    pub(super) fn set_version(&mut self, version: u32) -> Result<()> {
        self.head.set_version(version);
        self.header.version = version;
        self.rules = crate::entry::EntryRules::new(&self.header);
        self.head.rewrite(self.medium.as_ref())
    }

    /// Gives the entries of the snapshot table what version 3 asks for; version 2 may have it.
    ///
    /// # Errors
    ///
    /// As [`switch_snapshots`](Self::switch_snapshots).
    pub(super) fn complete_snapshots(&mut self) -> Result<()> {
        let rows = self.snapshots()?;
        let complete: Vec<_> = rows.iter().map(|row| row.of_version_3(self.size)).collect();
        if complete == rows { Ok(()) } else { self.switch_snapshots(&complete) }
    }

    /// Has the entries of the snapshot table say what they say where readers of version 2 look.
    ///
    /// # Errors
    ///
    /// As [`switch_snapshots`](Self::switch_snapshots); [`Invalid`](imgfmt_core::ErrorKind::Invalid) where that cannot be.
    pub(super) fn shorten_snapshots(&mut self) -> Result<()> {
        let rows = self.snapshots()?;
        let short: Option<Vec<_>> = rows.iter().map(|row| row.of_version_2(self.size)).collect();
        let short = short.ok_or_else(|| Error::invalid("an internal snapshot cannot be said in version 2"))?;
        if short == rows { Ok(()) } else { self.switch_snapshots(&short) }
    }

    /// Makes every zero cluster one that version 2 has, in the active state and in all snapshots: absent where there is no parent, else
    /// stored. Tables are changed where they are, for all states that use them at once: what the guest reads there stays.
    ///
    /// # Errors
    ///
    /// What reading and writing meet.
    pub(super) fn without_zero_clusters(&mut self) -> Result<()> {
        self.flush()?;
        self.l2.clear();
        let mut states = vec![(true, self.l1.clone())];
        for row in self.snapshots()? {
            let (host, entries) = row.l1();
            states.push((false, snapshot_l1(self, host, entries)?));
        }
        let (mut seen, mut pending, mut changed) = (BTreeSet::new(), Pending::new(), false);
        for (active, l1) in states {
            for (index, host) in l1.iter().map(|entry| entry & OFFSET_MASK).enumerate() {
                if host != 0 && seen.insert(host) {
                    let guest = (index as u64) << self.header.l2.span_bits();
                    changed |= self.expand_table(host, guest, active, &mut pending)?;
                }
                if pending.len() * self.cluster().in_memory() > MAX_PENDING {
                    self.write_pending(&mut pending)?;
                }
            }
        }
        self.write_pending(&mut pending)?;
        if changed {
            // What was let go may be used once now.
            self.correct_copied()?;
        }
        self.flush()
    }

    /// Makes the zero clusters of the L2 table at host byte `host`, which begins with guest byte `start`, such that version 2 has;
    /// whether there are any.
    fn expand_table(&mut self, host: u64, start: u64, active: bool, pending: &mut Pending) -> Result<bool> {
        let mut words = self.words_at(host)?;
        let uses = self.uses(host)?;
        let mut changed = false;
        for (index, word) in words.iter_mut().enumerate() {
            // What cannot be read is damage that was there before, and stays what it is.
            if *word & ZERO == 0 || !matches!(self.rules.decode(*word), Ok(Entry::Zero)) {
                continue;
            }
            let old = *word & OFFSET_MASK;
            *word = 0;
            if self.has_parent {
                let flag = if active && uses == 1 { COPIED } else { 0 };
                *word = self.stored_zeros(start + index as u64 * self.cluster().len(), uses)? | flag;
            }
            if old != 0 {
                (0..uses).for_each(|_| self.give_up(old >> self.cluster().bits()));
            }
            changed = true;
        }
        if changed {
            pending.push((host, words));
        }
        Ok(changed)
    }

    /// Stores a cluster of zeros, which shows at guest byte `guest` in `uses` states.
    fn stored_zeros(&mut self, guest: u64, uses: u64) -> Result<u64> {
        let host = self.take()?;
        for _ in 1..uses {
            self.count_up(host >> self.cluster().bits())?;
        }
        self.store(&vec![0; self.cluster().in_memory()], host, guest)?;
        Ok(host)
    }

    /// Writes tables that have changed, between the refcounts that were raised for them and those that they let go.
    fn write_pending(&mut self, pending: &mut Pending) -> Result<()> {
        self.medium.sync()?;
        self.write_counts()?;
        for (host, words) in pending.drain(..) {
            self.medium.write_at(&bytes_of(&words), host)?;
        }
        self.medium.sync()?;
        self.lower_counts()
    }
}

/// Bytes of tables that are kept in memory before they are written: 8 MiB.
const MAX_PENDING: usize = 8 << 20;
