//! The entries of all L1 and L2 tables: what is wrong with them, and what is counted of the clusters that they name.

use byteorder::{BigEndian, ByteOrder};
use imgfmt_core::{CheckStats, Findings, Result, Target};

use super::counts::Counts;
use super::l2::{Class, L2Rules, outside};
use super::references::References;
use super::rules::{self, Rule};
use super::subject::Subject;
use super::tables::{L1, L2Table, each_table};
use super::tally::Tally;
use crate::layout::{OFFSET_MASK, TABLE_ENTRY_LEN};

/// A look at all entries.
pub(super) struct Look<'a> {
    /// The image.
    subject: &'a Subject<'a>,
    /// How L2 entries are judged.
    rules: L2Rules,
    /// Where entries are mended, if they are.
    mend: Option<&'a dyn Target>,
    /// Counts what they use.
    tally: Tally<'a>,
    /// What was seen.
    seen: Seen,
}

/// What a look at all entries has seen.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    /// What was counted.
    pub(super) stats: CheckStats,
    /// Whether a table could not be followed.
    pub(super) incomplete: bool,
    /// Whether the file ends inside or before a cluster that an entry names.
    pub(super) cut: bool,
    /// Whether the file ends inside an L2 table.
    pub(super) table_cut: bool,
    /// Whether something was written.
    pub(super) wrote: bool,
    /// Whether the counts do not know the COPIED flag of an entry.
    pub(super) untold_flags: bool,
}

impl<'a> Look<'a> {
    /// Looks at all entries of the tables in `references`, tells `findings` what is wrong with them, writes to `mend`
    /// what they should be, and adds to `counts` what they use then.
    ///
    /// # Errors
    ///
    /// [`Io`](imgfmt_core::ErrorKind::Io).
    pub(super) fn at(
        subject: &'a Subject<'a>,
        references: &References,
        mend: Option<&'a dyn Target>,
        counts: &'a mut Counts,
        findings: &mut Findings,
    ) -> Result<Seen> {
        // As QEMU counts them: what lies behind the last whole sector is no part of its disk.
        let total_units = (subject.header.size / SECTOR_LEN * SECTOR_LEN).div_ceil(subject.cluster().len());
        let mut look = Self {
            subject,
            rules: L2Rules::new(subject),
            mend,
            tally: Tally::new(subject, counts),
            seen: Seen { stats: CheckStats { total_units, ..CheckStats::default() }, ..Seen::default() },
        };
        for l1 in &references.l1s {
            look.l1(l1, findings)?;
        }
        each_table(subject, &references.l1s, &mut |table, words| look.l2(table, words, findings))?;
        Ok(Seen { untold_flags: look.tally.untold, ..look.seen })
    }

    /// Looks at the entries of an L1 table.
    fn l1(&mut self, l1: &L1, findings: &mut Findings) -> Result<()> {
        let subject = self.subject;
        l1.each_entry(subject, &mut |index, raw| {
            let (at, host) = (l1.host + index * TABLE_ENTRY_LEN, raw & OFFSET_MASK);
            let guest = index.checked_shl(subject.header.l2.span_bits()).filter(|_| l1.active);
            if l1.active {
                self.tally.l1_entry(raw);
            }
            let mut tell = |rule: Rule, fixed: bool, what: String| {
                let finding = rule.finding(what).at(at).fixed(fixed);
                findings.push(guest.map_or(finding.clone(), |guest| finding.guest(guest)));
            };
            let aligned = subject.cluster().aligns(host);
            let there = subject.region(host, subject.cluster().len()).is_some();
            if raw & L1_RESERVED_MASK != 0 {
                let rule =
                    if aligned && there { rules::L1_RESERVED } else { Rule { repair: None, ..rules::L1_RESERVED } };
                let mend = self.mend.filter(|_| rule.repair.is_some());
                tell(rule, mend.is_some(), format!("found L1 entry with reserved bits set: {raw:x}"));
                if let Some(target) = mend {
                    target.write_at(&(raw & !L1_RESERVED_MASK).to_be_bytes(), at)?;
                    self.seen.wrote = true;
                }
            }
            if !aligned {
                let what = format!("l2_offset={host:x}: Table is not cluster aligned; L1 entry corrupted");
                tell(rules::L2_UNALIGNED, false, what);
            }
            if !there {
                tell(rules::L2_OUTSIDE, false, outside(host, subject.cluster().len()));
            }
            self.seen.incomplete |= !aligned || !there;
            Ok(())
        })
    }

    /// Looks at the entries of an L2 table.
    fn l2(&mut self, table: L2Table, words: &mut [u64], findings: &mut Findings) -> Result<()> {
        let subject = self.subject;
        let cluster = subject.cluster();
        if table.follows && table.host + cluster.len() > subject.file_len {
            self.seen.table_cut = true;
            let what =
                format!("the file ends inside the L2 table at byte {}; what is missing is taken for zeros", table.host);
            findings.push(rules::L2_CUT.finding(what).at(table.host));
        }
        self.tally.table(&table);
        let old = self.mend.map(|_| words.to_vec());
        let mut next_host = 0;
        let word_bits = subject.header.l2.entry_word_bits();
        for index in 0..words.len() >> word_bits {
            let at = index << word_bits;
            let pair = [words[at], if word_bits > 0 { words[at + 1] } else { 0 }];
            if pair == [0, 0] {
                continue;
            }
            if let Some(host) = self.rules.ordinary(pair) {
                self.tally.ordinary(host, pair[0], &table);
                if table.active.is_some() {
                    self.count_stored(host, &mut next_host);
                }
                continue;
            }
            let guest = table.active.map(|l1| {
                let first = l1.checked_shl(subject.header.l2.span_bits()).unwrap_or(0);
                first.saturating_add((index as u64) << cluster.bits())
            });
            let place = table.host + at as u64 * TABLE_ENTRY_LEN;
            let mends = self.mend.is_some();
            let mut tell = |rule: Rule, what: String| {
                let finding = rule.finding(what).at(place).fixed(mends && rule.repair.is_some());
                findings.push(guest.map_or(finding.clone(), |guest| finding.guest(guest)));
            };
            self.rules.judge(subject, pair, &mut tell);
            if let Some(guest) = guest {
                self.seen.cut |= self.judge_place(pair, guest, &mut tell);
                self.count(pair[0], &mut next_host);
            } else if let Class::Plain(host) = self.rules.class(pair[0]) {
                // How large the disks of snapshots are is not looked up.
                let end = host.saturating_add(self.rules.shown_len(pair[0], pair[1]));
                self.seen.cut |= !self.rules.external() && end > subject.file_len;
            }
            self.seen.cut |= self.rules.stays_outside(subject, pair);
            if mends {
                let mended = self.rules.mended(subject, pair);
                words[at] = mended[0];
                if word_bits > 0 {
                    words[at + 1] = mended[1];
                }
            }
            self.tally.entry([words[at], if word_bits > 0 { words[at + 1] } else { 0 }], &table);
        }
        if let (Some(target), Some(old)) = (self.mend, old) {
            self.seen.wrote |= write_words(target, table.host, &old, words)?;
        }
        Ok(())
    }

    /// Judges where the cluster at guest byte `guest` is; whether the file ends inside it.
    fn judge_place(&self, pair: [u64; 2], guest: u64, tell: &mut dyn FnMut(Rule, String)) -> bool {
        let Class::Plain(host) = self.rules.class(pair[0]) else { return false };
        let shown = self.rules.shown_len(pair[0], pair[1]).min(self.subject.header.size.saturating_sub(guest));
        if shown == 0 {
            return false;
        }
        if self.rules.external() {
            if host != guest {
                tell(
                    rules::DATA_FILE_OFFSET,
                    format!("offset={host:x}: cluster of the data file for guest byte {guest:x}"),
                );
            }
            return false;
        }
        let end = host.saturating_add(shown);
        let cut = end > self.subject.file_len && self.subject.region(host, self.subject.cluster().len()).is_some();
        if cut {
            let len = self.subject.file_len;
            tell(
                rules::DATA_CUT,
                format!("offset={host:x}: Data cluster ends at byte {end}, but the file at byte {len}"),
            );
        }
        cut
    }

    /// Counts a cluster of the active state. `next_host` is the end of the one before it in its table, 0 at first.
    fn count(&mut self, raw: u64, next_host: &mut u64) {
        let stats = &mut self.seen.stats;
        match self.rules.class(raw) {
            Class::Absent => {}
            Class::Compressed(..) if self.rules.external() => {}
            Class::Compressed(..) => {
                stats.allocated_units += 1;
                stats.compressed_units += 1;
                stats.fragmented_units += 1;
            }
            Class::Plain(host) => self.count_stored(host, next_host),
        }
    }

    /// Counts a cluster of the active state at host byte `host`, as [`count`](Self::count) does.
    fn count_stored(&mut self, host: u64, next_host: &mut u64) {
        self.seen.stats.allocated_units += 1;
        self.seen.stats.fragmented_units += u64::from(*next_host != 0 && host != *next_host);
        *next_host = host.saturating_add(self.subject.cluster().len());
    }
}

/// Writes to the table at host byte `host` those of its words that are no longer the `old` ones; whether there are any.
///
/// # Errors
///
/// [`Io`](imgfmt_core::ErrorKind::Io).
pub(super) fn write_words(target: &dyn Target, host: u64, old: &[u64], new: &[u64]) -> Result<bool> {
    let differs = |at: &usize| old[*at] != new[*at];
    let Some(first) = (0..new.len()).find(differs) else { return Ok(false) };
    let last = (0..new.len()).rfind(differs).unwrap_or(first);
    let mut bytes = vec![0; (last + 1 - first) * TABLE_ENTRY_LEN as usize];
    BigEndian::write_u64_into(&new[first..=last], &mut bytes);
    target.write_at(&bytes, host + first as u64 * TABLE_ENTRY_LEN)?;
    Ok(true)
}

/// Bytes of a sector.
const SECTOR_LEN: u64 = 512;
/// The reserved bits of an L1 entry: 0 to 8, and 56 to 62. Specification, "L1 table entry".
const L1_RESERVED_MASK: u64 = 0x7f00_0000_0000_01ff;
