//! What lies before the data of an image that is written in order: the header and all tables.

use imgfmt_core::{Limits, Result, Target};

use super::allocate::{RefcountTable, put_refcount};
use super::bitmaps::{Directory, Room};
use super::header::{self, Places};
use super::plan::Runs;
use super::settings::Settings;
use super::stream::cannot;
use super::table::{L2Table, Table};
use crate::crypto::CryptMethod;
use crate::layout::{COPIED, MAX_REFCOUNT_TABLE_LEN, SUBCLUSTERS, TABLE_ENTRY_LEN};

/// What lies before the refcounts: the header, the L1 table and the bitmaps.
pub(super) struct Front {
    /// log2 of the cluster length.
    cluster_bits: u32,
    /// Clusters that are given out.
    clusters: u64,
    /// Clusters of the L1 table, behind the header's.
    l1_clusters: u64,
    /// What the bitmaps need.
    tables: Vec<Table>,
}

impl Front {
    /// The header and the L1 table.
    pub(super) fn new(settings: &Settings) -> Result<Self> {
        let l1_len = settings.l1_entries(settings.size)? * TABLE_ENTRY_LEN;
        let l1_clusters = l1_len.div_ceil(settings.cluster_len());
        Ok(Self { cluster_bits: settings.cluster_bits, clusters: 1 + l1_clusters, l1_clusters, tables: Vec::new() })
    }
}

impl Room for Front {
    fn take(&mut self, clusters: u64) -> Result<u64> {
        let host = self.clusters << self.cluster_bits;
        self.clusters += clusters;
        if host > MAX_BITMAPS_LEN {
            return Err(cannot("the bitmaps are too large to be kept until they can be written"));
        }
        Ok(host)
    }

    fn put(&mut self, table: Table) -> Result<()> {
        self.tables.push(table);
        Ok(())
    }
}

/// Where everything lies.
pub(super) struct Layout {
    /// Where the refcount table is.
    refcounts: RefcountTable,
    /// Host byte of the first refcount block.
    blocks_host: u64,
    /// How many refcount blocks there are.
    blocks: u64,
    /// Host byte of the first L2 table.
    l2_host: u64,
    /// Host byte of the first cluster of data.
    pub(super) data_host: u64,
    /// Clusters of the file.
    total: u64,
}

impl Layout {
    /// Gives everything behind `front` its place.
    pub(super) fn new(settings: &Settings, runs: &Runs, front: &Front) -> Result<Self> {
        let bits = settings.cluster_bits;
        let tables = runs.tables(settings.l2.entries()).count() as u64;
        let others = front.clusters + tables + runs.total();
        let (mut blocks, mut table) = (0, 0);
        let total = loop {
            let total = others + blocks + table;
            let needed = total.div_ceil(counts_per_block(settings));
            let needed_table = (needed * TABLE_ENTRY_LEN).div_ceil(settings.cluster_len());
            if (needed, needed_table) == (blocks, table) {
                break total;
            }
            (blocks, table) = (needed, needed_table);
        };
        Limits::check("refcount table", table << bits, MAX_REFCOUNT_TABLE_LEN)?;
        let host = front.clusters << bits;
        let blocks_host = host + (table << bits);
        let l2_host = blocks_host + (blocks << bits);
        Ok(Self {
            refcounts: RefcountTable {
                host,
                clusters: u32::try_from(table).unwrap_or(u32::MAX),
                file_len: total << bits,
            },
            blocks_host,
            blocks,
            l2_host,
            data_host: l2_host + (tables << bits),
            total,
        })
    }

    /// Writes all of it, front to back.
    pub(super) fn write(
        &self,
        target: &dyn Target,
        settings: &Settings,
        runs: &Runs,
        front: Front,
        bitmaps: Option<Directory>,
    ) -> Result<()> {
        let l1_host = if front.l1_clusters == 0 { 0 } else { settings.cluster_len() };
        let crypt = CryptMethod::None;
        let places = Places { size: settings.size, l1_host, refcounts: self.refcounts, bitmaps, crypt };
        put(target, settings, 0, header::build(settings, &places)?)?;
        put(target, settings, l1_host, self.l1(settings, runs)?)?;
        let mut tables = front.tables;
        tables.sort_by_key(|table| table.host);
        tables.into_iter().try_for_each(|table| put(target, settings, table.host, table.bytes))?;
        let blocks = (0..self.blocks).map(|index| self.blocks_host + (index << settings.cluster_bits));
        put(target, settings, self.refcounts.host, blocks.flat_map(u64::to_be_bytes).collect())?;
        self.write_blocks(target, settings)?;
        self.write_l2(target, settings, runs)
    }

    /// The L1 table.
    fn l1(&self, settings: &Settings, runs: &Runs) -> Result<Vec<u8>> {
        let mut l1 = vec![0; usize::try_from(settings.l1_entries(settings.size)?).unwrap_or(0)];
        let hosts = (self.l2_host..).step_by(1 << settings.cluster_bits);
        for (table, host) in runs.tables(settings.l2.entries()).zip(hosts) {
            if let Some(entry) = usize::try_from(table).ok().and_then(|table| l1.get_mut(table)) {
                *entry = COPIED | host;
            }
        }
        Ok(Table::of_words(0, &l1).bytes)
    }

    /// Writes the refcount blocks: every cluster of the file is used once.
    fn write_blocks(&self, target: &dyn Target, settings: &Settings) -> Result<()> {
        let per_block = counts_per_block(settings);
        let mut block = Vec::new();
        for index in 0..self.blocks {
            let used = (self.total - index * per_block).min(per_block);
            if index == 0 || used < per_block {
                block = vec![0; 1 << settings.cluster_bits];
                let used = usize::try_from(used).unwrap_or(0);
                (0..used).for_each(|count| put_refcount(&mut block, count, 1, settings.refcount_order));
            }
            target.write_at(&block, self.blocks_host + (index << settings.cluster_bits))?;
        }
        Ok(())
    }

    /// Writes the L2 tables, one after the other.
    fn write_l2(&self, target: &dyn Target, settings: &Settings, runs: &Runs) -> Result<()> {
        let (bits, entries, extended) = (settings.cluster_bits, settings.l2.entries(), settings.l2.extended());
        let mut host = self.l2_host;
        for index in runs.tables(entries) {
            let mut table = L2Table::new(index, host, settings.l2.words(), extended);
            let mut slot = 0;
            while slot < entries {
                let (before, count) = runs.at(index * entries + slot, entries - slot);
                for (slot, stored) in (slot..slot + count).zip(before.into_iter().flat_map(|before| before..)) {
                    let slot = usize::try_from(slot).unwrap_or(usize::MAX);
                    table.put(slot, COPIED | (self.data_host + (stored << bits)));
                    table.mark_stored(slot, 0..SUBCLUSTERS);
                }
                slot += count;
            }
            target.write_at(&table.finish().bytes, host)?;
            host += settings.cluster_len();
        }
        Ok(())
    }
}

/// Writes bytes, filled up to whole clusters.
fn put(target: &dyn Target, settings: &Settings, host: u64, mut bytes: Vec<u8>) -> Result<()> {
    bytes.resize(bytes.len().next_multiple_of(1 << settings.cluster_bits), 0);
    if bytes.is_empty() { Ok(()) } else { target.write_at(&bytes, host) }
}

/// Counts in a refcount block.
fn counts_per_block(settings: &Settings) -> u64 {
    1 << (settings.cluster_bits + 3 - settings.refcount_order)
}

/// Most bytes of bitmaps that are kept until they can be written: 64 MiB.
const MAX_BITMAPS_LEN: u64 = 64 << 20;
