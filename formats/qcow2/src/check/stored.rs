//! The refcounts that the image stores.

use std::sync::Arc;

use byteorder::{BigEndian, ByteOrder};
use imgfmt_core::{Findings, Pages, Result, StorageExt, Target};

use super::counts::UNIT_LEN;
use super::rules::{self, Rule};
use super::subject::Subject;
use super::width::RefcountWidth;
use crate::layout::TABLE_ENTRY_LEN;

/// The stored refcounts of an image.
pub(super) struct Stored<'a> {
    /// The image.
    subject: &'a Subject<'a>,
    /// How wide they are.
    width: RefcountWidth,
    /// The places of the refcount blocks; 0 where there is none that can be used.
    blocks: Vec<u64>,
    /// The numbers of those that there are.
    present: Vec<usize>,
    /// Whether the structures have to be made anew.
    pub(super) broken: bool,
    /// The parts of blocks used last.
    pages: Pages<u64, [u8]>,
}

impl<'a> Stored<'a> {
    /// Reads the refcount table, and tells `findings` what is wrong with it, as mended if it is `rebuilt`.
    ///
    /// # Errors
    ///
    /// [`Io`](imgfmt_core::ErrorKind::Io), and [`LimitExceeded`](imgfmt_core::ErrorKind::LimitExceeded) for a table
    /// that is too long.
    pub(super) fn read(subject: &'a Subject<'a>, rebuilt: bool, findings: &mut Findings) -> Result<Self> {
        let page_len = subject.cluster().len().min(PAGE_LEN);
        let mut stored = Self {
            subject,
            width: subject.width(),
            blocks: Vec::new(),
            present: Vec::new(),
            broken: subject.has_lost(&rules::REFCOUNT_TABLE_LOST),
            pages: Pages::within(CACHE_LEN, page_len),
        };
        if !stored.broken {
            stored.read_table(rebuilt, findings)?;
            stored.present = (0..stored.blocks.len()).filter(|&index| stored.blocks[index] != 0).collect();
        }
        Ok(stored)
    }

    /// Reads the refcount table.
    fn read_table(&mut self, rebuilt: bool, findings: &mut Findings) -> Result<()> {
        let header = &self.subject.header;
        let (host, clusters) = (header.refcount_table_offset, header.refcount_table_clusters);
        let entries = clusters * header.cluster.len() / TABLE_ENTRY_LEN;
        let mut tell = |broken: &mut bool, rule: Rule, at: u64, what: String| {
            *broken = true;
            findings.push(rule.finding(what).at(at).fixed(rebuilt));
        };
        let len = entries * TABLE_ENTRY_LEN;
        if self.subject.region(host, len).is_none() {
            tell(&mut self.broken, rules::REFCOUNT_TABLE_OUTSIDE, host, super::l2::outside(host, len));
        }
        let there = self.subject.file_len.saturating_sub(host).min(len);
        let len = self.subject.limits.table_len("refcount_table_clusters", there.next_multiple_of(8), 1)?;
        let mut bytes = vec![0; len];
        self.subject.storage.read_padded(&mut bytes, host)?;
        self.blocks.reserve_exact(len / TABLE_ENTRY_LEN as usize);
        for (index, raw) in bytes.chunks_exact(TABLE_ENTRY_LEN as usize).map(BigEndian::read_u64).enumerate() {
            let at = host + index as u64 * TABLE_ENTRY_LEN;
            let (mut block, mut fault) = (raw & REFCOUNT_OFFSET_MASK, None);
            if raw & !REFCOUNT_OFFSET_MASK != 0 {
                let what = format!("refcount table entry {index} has reserved bits set");
                fault = Some((rules::REFCOUNT_TABLE_RESERVED, what));
            }
            if !self.subject.cluster().aligns(block) {
                let what = format!("refcount block {index} is not cluster aligned; refcount table entry corrupted");
                fault = Some((rules::REFCOUNT_BLOCK_UNALIGNED, what));
                block = 0;
            } else if self.subject.region(block, self.subject.cluster().len()).is_none() {
                fault = Some((rules::REFCOUNT_BLOCK_OUTSIDE, format!("refcount block {index} is outside image")));
                block = 0;
            }
            if let Some((rule, what)) = fault {
                tell(&mut self.broken, rule, at, what);
            }
            self.blocks.push(block);
        }
        for index in self.twice() {
            let at = host + index as u64 * TABLE_ENTRY_LEN;
            tell(&mut self.broken, rules::REFCOUNT_BLOCK_TWICE, at, format!("refcount block {index} refcount=2"));
            self.blocks[index] = 0;
        }
        Ok(())
    }

    /// The entries whose block an earlier entry names.
    fn twice(&self) -> Vec<usize> {
        let mut order: Vec<_> = (0..self.blocks.len()).filter(|&index| self.blocks[index] != 0).collect();
        order.sort_unstable_by_key(|&index| (self.blocks[index], index));
        let mut twice: Vec<_> =
            order.windows(2).filter(|pair| self.blocks[pair[0]] == self.blocks[pair[1]]).map(|pair| pair[1]).collect();
        twice.sort_unstable();
        twice
    }

    /// The places of all blocks.
    pub(super) fn blocks(&self) -> impl Iterator<Item = u64> {
        self.present.iter().map(|&index| self.blocks[index])
    }

    /// Whether there is a block for `cluster`.
    pub(super) fn has_block(&self, cluster: u64) -> bool {
        self.place(cluster).is_some()
    }

    /// The block that has the refcount of `cluster`, and which of its counts it is.
    fn place(&self, cluster: u64) -> Option<(u64, u64)> {
        let per_block = self.width.per_block(self.subject.cluster());
        let block = *self.blocks.get(usize::try_from(cluster / per_block).ok()?)?;
        (block != 0).then_some((block, cluster % per_block))
    }

    /// The first unit from `unit` on that has a refcount stored.
    pub(super) fn next_unit(&self, unit: u64) -> Option<u64> {
        let per_block = self.width.per_block(self.subject.cluster());
        let cluster = unit.checked_mul(UNIT_LEN)?;
        let first = usize::try_from(cluster / per_block).ok()?;
        let found = *self.present.get(self.present.partition_point(|&block| block < first))?;
        Some((found as u64 * per_block).max(cluster) / UNIT_LEN)
    }

    /// The refcount of `cluster`.
    ///
    /// # Errors
    ///
    /// [`Io`](imgfmt_core::ErrorKind::Io).
    pub(super) fn get(&self, cluster: u64) -> Result<u64> {
        let mut count = [0];
        self.get_run(cluster, &mut count)?;
        Ok(count[0])
    }

    /// Fills `counts` with the refcounts of the clusters from `first` on.
    ///
    /// # Errors
    ///
    /// [`Io`](imgfmt_core::ErrorKind::Io).
    pub(super) fn get_run(&self, first: u64, counts: &mut [u64]) -> Result<()> {
        let mut done = 0;
        while done < counts.len() {
            let Some((place, index, len)) = self.part(first + done as u64, counts.len() - done) else {
                counts[done] = 0;
                done += 1;
                continue;
            };
            let page = self.page(place)?;
            self.width.get_run(&page, index, &mut counts[done..done + len]);
            done += len;
        }
        Ok(())
    }

    /// The page of a block that has the refcount of `cluster`, which of its counts it is, and how many of the `wanted`
    /// ones from there on are in it.
    fn part(&self, cluster: u64, wanted: usize) -> Option<(u64, usize, usize)> {
        let (block, index) = self.place(cluster)?;
        let page_len = self.subject.cluster().len().min(PAGE_LEN);
        let per_page = self.width.in_bytes(page_len);
        let len = (per_page - index % per_page).min(wanted as u64);
        Some((block + index / per_page * page_len, (index % per_page) as usize, len as usize))
    }

    /// The page at host byte `at`.
    fn page(&self, at: u64) -> Result<Arc<[u8]>> {
        self.pages.get(at, || {
            let mut bytes = vec![0; self.subject.cluster().len().min(PAGE_LEN) as usize];
            self.subject.storage.read_padded(&mut bytes, at)?;
            Ok(bytes.into())
        })
    }

    /// Makes `counts` the refcounts of the clusters from `first` on, all of which have blocks where they change.
    ///
    /// # Errors
    ///
    /// [`Io`](imgfmt_core::ErrorKind::Io).
    pub(super) fn set_run(&mut self, target: &dyn Target, first: u64, counts: &[u64]) -> Result<()> {
        let mut done = 0;
        let mut changed = false;
        while done < counts.len() {
            let Some((place, index, len)) = self.part(first + done as u64, counts.len() - done) else {
                done += 1;
                continue;
            };
            let old = self.page(place)?;
            let mut new = old.to_vec();
            for (index, count) in (index..index + len).zip(&counts[done..]) {
                self.width.set(&mut new, index, *count);
            }
            if let Some(from) = (0..new.len()).find(|&at| new[at] != old[at]) {
                let to = (0..new.len()).rfind(|&at| new[at] != old[at]).unwrap_or(from);
                target.write_at(&new[from..=to], place + from as u64)?;
                changed = true;
            }
            done += len;
        }
        if changed {
            self.pages = Pages::within(CACHE_LEN, self.subject.cluster().len().min(PAGE_LEN));
        }
        Ok(())
    }
}

/// Where the refcount block is: bits 9 to 63 of an entry. Specification, "Refcount table entry".
const REFCOUNT_OFFSET_MASK: u64 = !0x1ff;
/// Bytes of a block that are read at once.
const PAGE_LEN: u64 = 64 << 10;
/// Bytes of blocks in memory: 4 MiB.
const CACHE_LEN: u64 = 4 << 20;
