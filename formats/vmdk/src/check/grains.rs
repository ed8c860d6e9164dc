//! All grain tables: where grains are, and whether they can be there.

use std::ops::Range;

use imgfmt_core::{CheckStats, Finding, Result, Severity};

use super::directories::{BAD, Directories, read_table};
use super::extent::{Scope, Subject};
use super::job::Job;
use super::leaks::Leaks;
use super::pairs::{Pair, Pairs};
use super::stream;
use super::usage::{MAX_WINDOWS, Usage, WINDOW};
use crate::header::Kind;
use crate::layout::{ENTRY_LEN, Flags, SECTOR_LEN, ZEROED_ENTRY, byte_of, le_u32s, le_u64s};

/// A walk over all grains of an extent, for one window of its file.
struct Walk<'w, 'a, 'f, 'j> {
    /// What is to be done.
    job: &'w mut Job<'j, 'f>,
    /// The extent.
    subject: &'a Subject<'a>,
    /// Which sectors of the window are in use.
    usage: Usage,
    /// Grains that the tables do not agree on; those are found when the first window is looked at.
    pairs: &'w mut Pairs,
    /// What is counted then.
    stats: &'w mut CheckStats,
    /// The sector after the last grain, then.
    last: u64,
    /// The end of the disk's last grain, which may be stored and need not be.
    tail: Option<Range<u64>>,
}

/// Checks all grains of the extent.
pub(super) fn check(
    job: &mut Job<'_, '_>,
    subject: &Subject<'_>,
    directories: &Directories,
    scope: Scope,
) -> Result<CheckStats> {
    let total = subject.size.div_ceil(subject.header.grain_len());
    let mut stats = CheckStats { total_units: total, ..CheckStats::default() };
    let (mut pairs, mut leaks) = (Pairs::default(), Leaks::default());
    let sectors = subject.file_sectors().min(MAX_WINDOWS * WINDOW);
    let mut start = 0;
    while start < sectors {
        let window = start..sectors.min(start + WINDOW);
        let usage = Usage::new(window.clone());
        let mut walk = Walk { job, subject, usage, pairs: &mut pairs, stats: &mut stats, last: 0, tail: None };
        walk.run(directories)?;
        let usage = walk.usage;
        if scope.leaks && subject.has_leaks()? {
            leaks.find(subject, &usage)?;
        }
        start = window.end;
    }
    if sectors < subject.file_sectors() && subject.header.entry_len() > ENTRY_LEN {
        let what = format!("grains behind byte {} may lie in each other: the file is too long", byte_of(sectors));
        job.tell(Finding::new("vmdk-grains-unchecked", Severity::Unchecked, what).at(byte_of(sectors)));
    }
    pairs.settle(job, subject, scope)?;
    leaks.settle(job, subject)?;
    Ok(stats)
}

impl Walk<'_, '_, '_, '_> {
    /// Looks at all tables.
    fn run(&mut self, directories: &Directories) -> Result<()> {
        self.mark_metadata(directories);
        let per_table = u64::from(self.subject.header.gtes_per_gt);
        for index in 0..directories.first.tables.len() {
            let (Some(table), copy) = directories.pair(index) else { continue };
            let entries = self.entries(table)?;
            let copies = copy.map(|copy| self.entries(copy)).transpose()?;
            let first = index as u64 * per_table;
            for (slot, &entry) in entries.iter().enumerate() {
                let grain = first + slot as u64;
                if grain >= self.stats.total_units {
                    break;
                }
                let spare = copies.as_ref().and_then(|copies| copies.get(slot)).copied();
                match spare.zip(copy) {
                    Some((spare, copy)) if spare != entry => {
                        self.differ(Pair { grain, tables: [table, copy], entries: [entry, spare], bad: [false; 2] })?;
                    }
                    _ => self.agree(grain, entry, byte_of(table) + slot as u64 * self.subject.header.entry_len())?,
                }
            }
        }
        self.judge_pairs();
        // Where it is not stored, others may be there, so nothing is told of it.
        if let Some(tail) = &self.tail {
            let sectors = self.subject.file_sectors();
            let shared = tail.end > sectors || self.usage.has_grain(tail) || self.usage.has_metadata(tail);
            self.job.shares_tail |= shared;
            self.usage.add_grain(tail);
        }
        Ok(())
    }

    /// The entries of the table at `sector`, as other kinds of extent have them.
    fn entries(&self, sector: u64) -> Result<Vec<u64>> {
        let bytes = read_table(self.subject, sector)?;
        Ok(match &self.subject.header.kind {
            Kind::Hosted | Kind::Cowd => le_u32s(&bytes).iter().map(|&entry| u64::from(entry)).collect(),
            Kind::SeSparse(places) => le_u64s(&bytes).iter().map(|&entry| places.grain(entry).unwrap_or(BAD)).collect(),
        })
    }

    /// Takes note of header, descriptor, directories and tables.
    fn mark_metadata(&mut self, directories: &Directories) {
        let sectors = self.subject.table_sectors();
        directories.fixed.iter().for_each(|fixed| self.usage.add_metadata(fixed));
        for directory in [Some(&directories.first), directories.spare.as_ref()].into_iter().flatten() {
            for index in 0..directory.tables.len() {
                if let Some(table) = directory.table(index) {
                    self.usage.add_metadata(&(table..table + sectors));
                }
            }
        }
    }

    /// Whether this is the first window, for which everything is looked at that has no bearing on others.
    fn is_first(&self) -> bool {
        self.usage.window.start == 0
    }

    /// Looks at a grain of which nobody says anything else than `entry`, which is at host byte `at`.
    fn agree(&mut self, grain: u64, entry: u64, at: u64) -> Result<()> {
        if !self.is_stored(entry) {
            return Ok(());
        }
        let sectors = self.sectors(grain, entry)?;
        if self.is_first() {
            self.count(&sectors);
            let fault = self.fault(grain, entry)?;
            if let Some((id, what)) = fault {
                self.tell(id, grain, what, at);
            }
        }
        if self.usage.has_metadata(&sectors) {
            self.tell("vmdk-grain-in-metadata", grain, format!("is at sector {entry}, where metadata is"), at);
        } else if self.usage.has_grain(&sectors) {
            self.tell("vmdk-grain-shared", grain, format!("is at sector {entry}, where another grain is too"), at);
        }
        self.usage.add_grain(&sectors);
        let whole = entry.saturating_add(self.subject.header.grain_size);
        if grain + 1 == self.stats.total_units && !self.subject.header.compressed && sectors.end < whole {
            self.tail = Some(sectors.end..whole);
        }
        Ok(())
    }

    /// Takes note of a grain that the tables differ about.
    fn differ(&mut self, mut pair: Pair) -> Result<()> {
        if !self.is_first() {
            return Ok(());
        }
        for (entry, bad) in pair.entries.into_iter().zip(&mut pair.bad) {
            if self.is_stored(entry) {
                *bad = self.fault(pair.grain, entry)?.is_some();
            }
        }
        if let Some(&entry) = pair.entries.first().filter(|&&entry| self.is_stored(entry)) {
            let sectors = self.sectors(pair.grain, entry)?;
            self.count(&sectors);
        }
        self.pairs.add(pair, self.job.context.limits);
        Ok(())
    }

    /// Finds those entries that lie where something else is, now that all that is agreed on is known.
    fn judge_pairs(&mut self) {
        let mut pairs = std::mem::take(&mut self.pairs.kept);
        let mut places = Vec::new();
        for pair in &mut pairs {
            for (entry, bad) in pair.entries.into_iter().zip(&mut pair.bad) {
                // What cannot be read is bad already.
                if !self.is_stored(entry) || *bad {
                    continue;
                }
                let sectors = entry..entry.saturating_add(self.grain_sectors(pair.grain));
                *bad = self.usage.has_metadata(&sectors) || self.usage.has_grain(&sectors);
                places.push(sectors);
            }
        }
        places.iter().for_each(|sectors| self.usage.add_grain(sectors));
        self.pairs.kept = pairs;
    }

    /// Whether an entry says that a grain is stored.
    fn is_stored(&self, entry: u64) -> bool {
        let zeroed = entry == u64::from(ZEROED_ENTRY) && self.subject.header.flags.has(Flags::ZEROED_GRAINS);
        entry != 0 && !zeroed
    }

    /// What is wrong with a grain at sector `entry`, whatever else is there.
    fn fault(&self, grain: u64, entry: u64) -> Result<Option<(&'static str, String)>> {
        let (end, file_end) = (self.end_of(grain, entry), self.subject.storage().len());
        if end > file_end {
            let what = format!("is to be at sector {entry}, but the file ends at byte {file_end}");
            return Ok(Some(("vmdk-grain-outside", what)));
        }
        if self.has_markers() { stream::marker_fault(self.subject, grain, entry) } else { Ok(None) }
    }

    /// The least host byte at which a grain at sector `entry` can end.
    fn end_of(&self, grain: u64, entry: u64) -> u64 {
        let header = &self.subject.header;
        let start = grain * header.grain_len();
        let len = if header.compressed { 1 } else { header.grain_len().min(self.subject.size - start) };
        byte_of(entry).saturating_add(len)
    }

    /// The sectors of a grain at sector `entry`.
    fn sectors(&self, grain: u64, entry: u64) -> Result<Range<u64>> {
        let len =
            if self.has_markers() { stream::stored_sectors(self.subject, entry)? } else { self.grain_sectors(grain) };
        Ok(entry..entry.saturating_add(len))
    }

    /// Sectors of a grain without a marker. The last one may be stored as far as the disk goes.
    fn grain_sectors(&self, grain: u64) -> u64 {
        let header = &self.subject.header;
        if header.compressed {
            return 1;
        }
        let left = self.subject.size.saturating_sub(grain * header.grain_len());
        if left >= header.grain_len() { header.grain_size } else { left.div_ceil(SECTOR_LEN) }
    }

    /// Whether grains follow markers.
    fn has_markers(&self) -> bool {
        self.subject.header.compressed && self.subject.header.flags.has(Flags::MARKERS)
    }

    /// Counts a grain that is stored in `sectors`.
    fn count(&mut self, sectors: &Range<u64>) {
        self.stats.allocated_units += 1;
        self.stats.compressed_units += u64::from(self.subject.header.compressed);
        self.stats.fragmented_units += u64::from(self.last != 0 && self.last != sectors.start);
        self.last = sectors.end;
        let end = byte_of(sectors.end).min(self.subject.storage().len());
        self.stats.image_end = self.stats.image_end.max(Some(end));
    }

    /// Tells of a grain that nothing mends.
    fn tell(&mut self, id: &'static str, grain: u64, what: String, at: u64) {
        let finding = Finding::new(id, Severity::Corruption, format!("grain {grain} {what}"));
        self.job.tell(finding.at(at).guest(grain * self.subject.header.grain_len()));
    }
}
