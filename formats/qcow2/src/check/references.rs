//! Everything that uses host clusters of the image's own file.

use std::collections::BTreeMap;

use imgfmt_core::{Findings, Result};

use super::counts::Counts;
use super::kinds::Kind;
use super::l2::outside;
use super::lists;
use super::rules;
use super::stored::Stored;
use super::subject::Subject;
use super::tables::{L1, each_table, each_word};
use super::tally::Tally;
use crate::crypto::CryptMethod;
use crate::layout::{OFFSET_MASK, TABLE_ENTRY_LEN};

/// What uses host clusters.
#[derive(Debug, Default)]
pub(super) struct References {
    /// Structures that have their place by themselves.
    regions: Vec<Region>,
    /// The L1 tables that can be followed.
    pub(super) l1s: Vec<L1>,
    /// The bitmap tables that can be followed: host bytes and entries.
    bitmap_tables: Vec<(u64, u64)>,
    /// Tables that can be followed, by where they begin. None lies across another, so that following all of them takes no
    /// longer than reading the file.
    taken: BTreeMap<u64, Taken>,
    /// Whether something could not be followed, so that clusters may be in use that nothing seems to use.
    pub(super) incomplete: bool,
}

/// Bytes of the file that are used.
#[derive(Clone, Copy, Debug)]
struct Region {
    /// The first host byte.
    host: u64,
    /// How many bytes.
    len: u64,
    /// How often.
    times: u64,
}

/// The place of a table.
#[derive(Clone, Copy, Debug)]
struct Taken {
    /// The host byte behind it.
    end: u64,
    /// Which region it is.
    region: usize,
    /// Which L1 table it is, if it is one.
    l1: Option<usize>,
}

impl References {
    /// Finds everything in the image, and tells `findings` of what cannot be followed.
    ///
    /// # Errors
    ///
    /// [`Io`](imgfmt_core::ErrorKind::Io).
    pub(super) fn find(subject: &Subject<'_>, findings: &mut Findings) -> Result<Self> {
        let header = &subject.header;
        let lost = |rule| subject.has_lost(rule);
        let incomplete = lost(&rules::SNAPSHOTS_LOST) || lost(&rules::L1_LOST);
        let mut all = Self { incomplete, ..Self::default() };
        all.region(subject, 0, header.cluster.len().min(subject.file_len), findings);
        if let CryptMethod::Luks { offset, len } = header.crypt {
            if len > subject.limits.metadata_bytes {
                findings.push(rules::LUKS_TOO_LONG.finding(format!("the LUKS header has {len} bytes")).at(offset));
                all.incomplete = true;
            } else {
                all.region(subject, offset, len, findings);
            }
        }
        all.l1(subject, header.l1_table_offset, u64::from(header.l1_size), true, findings);
        lists::snapshots(subject, &mut all, findings)?;
        lists::bitmaps(subject, &mut all, findings)?;
        Ok(all)
    }

    /// Adds `len` bytes from host byte `host` on; false where the file does not have them.
    pub(super) fn region(&mut self, subject: &Subject<'_>, host: u64, len: u64, findings: &mut Findings) -> bool {
        let there = subject.region(host, len).is_some();
        if there && len > 0 {
            self.regions.push(Region { host, len, times: 1 });
        } else if !there {
            findings.push(rules::METADATA_OUTSIDE.finding(outside(host, len)).at(host));
            self.incomplete = true;
        }
        there
    }

    /// Adds the L1 table of `entries` at host byte `host`, which is at a cluster border.
    pub(super) fn l1(&mut self, subject: &Subject<'_>, host: u64, entries: u64, active: bool, findings: &mut Findings) {
        let end = host.saturating_add(entries * TABLE_ENTRY_LEN);
        // A table that several states have is followed once.
        if let Some(Taken { region, l1: Some(l1), .. }) = self.taken.get(&host).filter(|known| known.end == end) {
            self.l1s[*l1].times += 1;
            self.regions[*region].times += 1;
        } else if self.table(subject, host, entries, findings) {
            if let Some(known) = self.taken.get_mut(&host) {
                known.l1 = Some(self.l1s.len());
            }
            self.l1s.push(L1 { host, entries, times: 1, active });
            if end > subject.file_len {
                let what = format!("the L1 table ends at byte {end}, but the file ends at byte {}", subject.file_len);
                findings.push(rules::METADATA_OUTSIDE.finding(what).at(host));
            }
        }
    }

    /// Adds the bitmap table of `entries` at host byte `host`, and tells whether it is to be followed.
    pub(super) fn bitmap_table(
        &mut self,
        subject: &Subject<'_>,
        host: u64,
        entries: u64,
        findings: &mut Findings,
    ) -> bool {
        let follows = self.table(subject, host, entries, findings);
        if follows {
            self.bitmap_tables.push((host, entries));
        }
        follows
    }

    /// Adds the place of a table of `entries`; false where it cannot be followed, or lies across another one.
    fn table(&mut self, subject: &Subject<'_>, host: u64, entries: u64, findings: &mut Findings) -> bool {
        let len = entries * TABLE_ENTRY_LEN;
        let end = host.saturating_add(len);
        if len == 0 {
            return false;
        }
        let before = self.taken.range(..end).next_back();
        if let Some((other, _)) = before.filter(|(_, other)| other.end > host) {
            let what = format!("the table at byte {host} lies across the one at byte {other}");
            findings.push(rules::TABLE_OVERLAP.finding(what).at(host));
            self.incomplete = true;
            return false;
        }
        let region = self.regions.len();
        let there = self.region(subject, host, len, findings);
        if there {
            self.taken.insert(host, Taken { end, region, l1: None });
        }
        there
    }

    /// The active L1 table, where it can be followed.
    pub(super) fn active(&self) -> &[L1] {
        match self.l1s.first() {
            Some(first) if first.active => &self.l1s[..1],
            _ => &[],
        }
    }

    /// Counts all uses of the clusters in the window of `counts`; those of the refcount structures where they are
    /// given.
    ///
    /// # Errors
    ///
    /// [`Io`](imgfmt_core::ErrorKind::Io).
    pub(super) fn count(&self, subject: &Subject<'_>, stored: Option<&Stored<'_>>, counts: &mut Counts) -> Result<()> {
        self.count_structures(subject, stored, counts)?;
        let mut tally = Tally::new(subject, counts);
        for l1 in self.active() {
            l1.each_entry(subject, &mut |_, raw| {
                tally.l1_entry(raw);
                Ok(())
            })?;
        }
        let extended = subject.header.l2.extended();
        each_table(subject, &self.l1s, &mut |table, words| {
            tally.table(&table);
            for entry in words.chunks_exact(1 << subject.header.l2.entry_word_bits()) {
                if entry[0] != 0 {
                    tally.entry([entry[0], if extended { entry[1] } else { 0 }], &table);
                }
            }
            Ok(())
        })
    }

    /// Counts what is in the window of `counts` but for L2 tables and what they name.
    ///
    /// # Errors
    ///
    /// [`Io`](imgfmt_core::ErrorKind::Io).
    pub(super) fn count_structures(
        &self,
        subject: &Subject<'_>,
        stored: Option<&Stored<'_>>,
        counts: &mut Counts,
    ) -> Result<()> {
        let mut add = |host, len, times, kind| {
            if let Some(range) = subject.region(host, len) {
                counts.add(range, times, kind);
            }
        };
        for region in &self.regions {
            add(region.host, region.len, region.times, Kind::Fixed);
        }
        let cluster_len = subject.cluster().len();
        for &(host, entries) in &self.bitmap_tables {
            each_word(subject, host, entries, &mut |_, raw| {
                if lists::bitmap_entry_follows(subject, raw) && raw & OFFSET_MASK != 0 {
                    add(raw & OFFSET_MASK, cluster_len, 1, Kind::Fixed);
                }
                Ok(())
            })?;
        }
        let Some(stored) = stored else { return Ok(()) };
        let header = &subject.header;
        if !subject.has_lost(&rules::REFCOUNT_TABLE_LOST) {
            add(header.refcount_table_offset, header.refcount_table_clusters * cluster_len, 1, Kind::Refcounts);
        }
        stored.blocks().for_each(|block| add(block, cluster_len, 1, Kind::Refcounts));
        Ok(())
    }
}
