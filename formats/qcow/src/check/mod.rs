//! Looking for damage: the tables, and what they lead to.

mod used;

use std::sync::Arc;

use imgfmt_core::{
    Check, CheckStats, Error, Finding, Findings, Medium, OpenContext, Repair, Result, Severity, Storage,
};

use crate::entry::Entry;
use crate::header::Header;
use crate::layout::{BACKING_FILE_OFFSET_AT, ENTRY_LEN, HEADER_LEN, L1_TABLE_OFFSET_AT};
use crate::tables::{Table, Tables};
use crate::{NAME, Qcow};
use used::Used;

impl Check for Qcow {
    fn check(
        &self,
        storage: Arc<dyn Storage>,
        context: &OpenContext<'_>,
        findings: &mut Findings,
    ) -> Result<CheckStats> {
        check(storage.as_ref(), context, findings).map_err(|e| e.in_format(NAME))
    }

    fn repair(
        &self,
        _medium: Arc<dyn Medium>,
        _repair: Repair,
        _context: &OpenContext<'_>,
        _findings: &mut Findings,
    ) -> Result<CheckStats> {
        Err(Error::invalid("a qcow image is checked, not repaired").in_format(NAME))
    }

    fn repairs(&self) -> Option<Repair> {
        None
    }
}

/// Looks at the image in `storage`.
fn check(storage: &dyn Storage, context: &OpenContext<'_>, findings: &mut Findings) -> Result<CheckStats> {
    context.without_snapshots()?;
    let header = Header::read(storage, context.limits)?;
    let most = context.limits.metadata_bytes / used::ITEM_LEN;
    let stats = CheckStats { total_units: header.size.div_ceil(header.cluster_len()), ..CheckStats::default() };
    let mut look = Look { storage, used: Used::new(most), findings, stats, next: None, header };
    look.at_header()?;
    look.at_l1()?;
    look.at_unused();
    Ok(look.stats)
}

/// A look at an image.
struct Look<'a> {
    /// The file.
    storage: &'a dyn Storage,
    /// The header.
    header: Header,
    /// What of the file is in use.
    used: Used,
    /// What was found.
    findings: &'a mut Findings,
    /// What was counted.
    stats: CheckStats,
    /// The byte behind the last cluster, in the order of the disk.
    next: Option<u64>,
}

impl Look<'_> {
    /// Tells of damage, seen at host byte `at`.
    fn tell(&mut self, id: &'static str, what: String, at: u64) {
        self.findings.push(Finding::new(id, Severity::Corruption, what).at(at));
    }

    /// Takes note that `len` bytes from `at` on are in use, for what `seen_at` leads to; returns whether nothing else is there.
    fn take(&mut self, at: u64, len: u64, what: &str, seen_at: u64) -> bool {
        if self.used.add(at..at.saturating_add(len)) {
            return true;
        }
        self.tell("qcow-overlap", format!("{what} at byte {at} lies over something else"), seen_at);
        false
    }

    /// Looks at the header, and at the name of the backing file.
    fn at_header(&mut self) -> Result<()> {
        self.take(0, HEADER_LEN as u64, "the header", 0);
        if let Some((at, len)) = self.header.backing {
            let place = BACKING_FILE_OFFSET_AT as u64;
            match self.header.backing_name(self.storage) {
                Ok(_) => {
                    self.take(at, u64::from(len), "the name of the backing file", place);
                }
                Err(error) if error.kind() == imgfmt_core::ErrorKind::Io => return Err(error),
                Err(error) => self.tell("qcow-backing-name", format!("the backing file has no name: {error}"), place),
            }
        }
        Ok(())
    }

    /// Looks at the L1 table, and at all tables that it leads to.
    fn at_l1(&mut self) -> Result<()> {
        let (at, entries) = (self.header.l1_table_offset, self.header.l1_entries());
        let place = L1_TABLE_OFFSET_AT as u64;
        let l1 = match Table::new(at, entries, self.storage.len()) {
            Ok(l1) => l1,
            Err(error) => {
                self.tell("qcow-l1-outside", format!("the L1 table {error}"), place);
                return Ok(());
            }
        };
        self.take(at, entries * ENTRY_LEN, "the L1 table", place);
        let tables = Tables::new();
        let mut index = 0;
        while index < entries {
            let page = tables.visit(self.storage, l1, index, |entries| Ok(entries.to_vec()))?;
            for (nth, offset) in (index..).zip(&page).filter(|(_, offset)| **offset != 0) {
                self.at_l2(&tables, nth, *offset, l1.entry_at(nth))?;
            }
            index += page.len() as u64;
        }
        Ok(())
    }

    /// Looks at the L2 table at byte `offset`, that of L1 entry `index`, which is at byte `place`.
    fn at_l2(&mut self, tables: &Tables, index: u64, offset: u64, place: u64) -> Result<()> {
        let entries = 1 << self.header.l2_bits;
        let l2 = match Table::new(offset, entries, self.storage.len()) {
            Ok(l2) => l2,
            Err(error) => {
                self.tell("qcow-l2-outside", format!("the offset of an L2 table {error}"), place);
                return Ok(());
            }
        };
        // What a table that is something else leads to would be told of without end.
        if !self.take(offset, entries * ENTRY_LEN, "an L2 table", place) {
            return Ok(());
        }
        let mut slot = 0;
        while slot < entries {
            let page = tables.visit(self.storage, l2, slot, |entries| Ok(entries.to_vec()))?;
            for (nth, raw) in (slot..).zip(&page) {
                let cluster = (index << self.header.l2_bits) + nth;
                self.at_cluster(cluster << self.header.cluster_bits, *raw, l2.entry_at(nth));
            }
            slot += page.len() as u64;
        }
        Ok(())
    }

    /// Looks at the cluster of guest byte `guest`, whose entry `raw` is at byte `place`.
    fn at_cluster(&mut self, guest: u64, raw: u64, place: u64) {
        let cluster_len = self.header.cluster_len();
        let (host, len) = match Entry::decode(raw, self.header.cluster_bits) {
            Ok(Entry::Absent) => return,
            // Entries behind the end of the disk are nobody's, and may be anything.
            Ok(_) if guest >= self.header.size => return,
            // The file may end where the disk does.
            Ok(Entry::Data(host)) => (host, cluster_len.min(self.header.size - guest)),
            Ok(Entry::Compressed { host, stored_len }) => {
                self.stats.compressed_units += 1;
                (host, u64::from(stored_len))
            }
            Err(error) => return self.tell("qcow-entry-damaged", error.to_string(), place),
        };
        self.stats.allocated_units += 1;
        self.stats.fragmented_units += u64::from(self.next.is_some_and(|next| next != host));
        let end = host.saturating_add(len);
        self.next = Some(end);
        if end > self.storage.len() {
            let what = format!("a cluster ends at byte {end}, but the file at byte {}", self.storage.len());
            let finding = Finding::new("qcow-cluster-outside", Severity::Corruption, what);
            return self.findings.push(finding.at(place).guest(guest));
        }
        self.take(host, len, "a cluster", place);
    }

    /// Looks for space as large as a cluster, or larger, that nothing uses. Less is padding.
    fn at_unused(&mut self) {
        self.stats.image_end = Some(self.used.end());
        if self.used.is_full() {
            let what = "the image is in too many pieces to look whether each is used once";
            self.findings.push(Finding::new("qcow-space-unchecked", Severity::Unchecked, what));
            return;
        }
        let cluster_len = self.header.cluster_len();
        for gap in self.used.gaps(self.storage.len()).filter(|gap| gap.end - gap.start >= cluster_len) {
            let what = format!("{} bytes are in no use", gap.end - gap.start);
            self.findings.push(Finding::new("qcow-space-unused", Severity::Leak, what).at(gap.start));
        }
    }
}
