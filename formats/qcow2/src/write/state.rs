//! What changes from piece to piece: the tables in the making.

use std::ops::Range;

use imgfmt_core::{Error, Result};

use super::allocate::Allocator;
use super::bitmaps::Room;
use super::settings::Settings;
use super::table::{L2Table, Table};
use crate::layout;

/// What changes from piece to piece.
#[derive(Debug)]
pub(super) struct State {
    /// Gives out host clusters.
    pub(super) allocator: Allocator,
    /// The L1 table.
    pub(super) l1: Vec<u64>,
    /// Guest bytes of the disk, as far as they are known.
    pub(super) size: u64,
    /// Whether the disk may become larger.
    grows: bool,
    /// The L2 table of the last piece.
    l2: Option<L2Table>,
    /// Tables that are complete and wait to be written.
    to_write: Vec<Table>,
}

/// Clusters that follow one another in one L2 table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slots {
    /// Index of the table.
    pub(super) table: u64,
    /// The first of its entries.
    pub(super) first: usize,
    /// How many clusters.
    pub(super) count: u64,
    /// Guest bytes of the first cluster that lie before the piece.
    pub(super) within: u64,
}

impl Slots {
    /// The clusters that `len` guest bytes from `guest` on touch, as far as one table goes.
    pub(super) fn of(settings: &Settings, guest: u64, len: u64) -> Self {
        let first = guest >> settings.cluster_bits;
        let within = guest & (settings.cluster_len() - 1);
        let per_table = settings.l2.entries();
        let slot = first % per_table;
        let count = (within + len).div_ceil(settings.cluster_len()).min(per_table - slot);
        Self { table: first / per_table, first: usize::try_from(slot).unwrap_or(usize::MAX), count, within }
    }

    /// How many of the `len` guest bytes these slots were made for lie in their first `count` clusters.
    pub(super) fn covered(&self, settings: &Settings, len: u64, count: u64) -> u64 {
        len.min((count << settings.cluster_bits) - self.within)
    }

    /// The slots of the first `covered` bytes, each with those of its subclusters that they touch.
    pub(super) fn parts(self, settings: &Settings, covered: u64) -> impl Iterator<Item = (usize, Range<u32>)> {
        let (len, grain) = (settings.cluster_len(), settings.l2.grain_bits());
        let part = move |byte: u64| u32::try_from(byte.min(len).div_ceil(1 << grain)).unwrap_or(layout::SUBCLUSTERS);
        let (start, end) = (self.within, self.within + covered);
        (self.first..)
            .zip((0..end).step_by(1 << settings.cluster_bits))
            .map(move |(slot, at)| (slot, part(start.saturating_sub(at))..part(end - at)))
    }
}

impl State {
    /// The state of an empty image.
    pub(super) fn new(settings: &Settings, grows: bool) -> Result<Self> {
        let mut allocator = Allocator::new(settings.cluster_bits, settings.refcount_order);
        allocator.clusters(1)?;
        let l1 = vec![0; usize::try_from(settings.l1_entries(settings.size)?).unwrap_or(usize::MAX)];
        Ok(Self { allocator, l1, size: settings.size, grows, l2: None, to_write: Vec::new() })
    }

    /// What is left of the state once the image is being finished.
    pub(super) fn spent(settings: &Settings) -> Self {
        let allocator = Allocator::new(settings.cluster_bits, settings.refcount_order);
        Self { allocator, l1: Vec::new(), size: 0, grows: false, l2: None, to_write: Vec::new() }
    }

    /// Gives the L1 table its clusters. A disk without a byte has none, and a cluster for it would leak.
    pub(super) fn place_l1(&mut self, settings: &Settings) -> Result<u64> {
        let len = self.l1.len() as u64 * layout::TABLE_ENTRY_LEN;
        match len.div_ceil(settings.cluster_len()) {
            0 => Ok(0),
            clusters => self.allocator.clusters(clusters),
        }
    }

    /// The L2 table number `index`, which becomes the one that entries go to.
    pub(super) fn table(&mut self, index: u64, settings: &Settings) -> Result<&mut L2Table> {
        if self.l2.as_ref().is_none_or(|table| table.index != index) {
            self.close_table();
            let slot = self.l1_slot(index, settings)?;
            let host = self.allocator.clusters(1)?;
            self.l1[slot] = layout::COPIED | host;
            self.l2 = Some(L2Table::new(index, host, settings.l2.words(), settings.l2.extended()));
        }
        self.l2.as_mut().ok_or_else(|| Error::out_of_bounds("there is no L2 table"))
    }

    /// The place of table `index` in the L1 table, which there is or which is made.
    fn l1_slot(&mut self, index: u64, settings: &Settings) -> Result<usize> {
        let slot = usize::try_from(index).unwrap_or(usize::MAX);
        if slot >= self.l1.len() {
            if !self.grows {
                return Err(Error::out_of_bounds("a piece lies beyond the end of the disk"));
            }
            settings.l1_entries(index.saturating_add(1) << settings.l2.span_bits())?;
            self.l1.resize(slot + 1, 0);
        }
        Ok(slot)
    }

    /// Gives clusters their places in the image, and returns the host byte of the first and how many follow it.
    pub(super) fn place(&mut self, slots: &Slots, settings: &Settings) -> Result<(u64, u64)> {
        let known = self.table(slots.table, settings)?.host_of(slots.first);
        let Some(host) = known else {
            let host = self.allocator.clusters(slots.count)?;
            self.put_clusters(slots.first, host, slots.count, settings)?;
            return Ok((host, slots.count));
        };
        // An earlier piece ended inside the cluster. The next ones can be joined to it if nothing came between.
        let next = host + settings.cluster_len();
        if slots.count == 1 || self.allocator.next_host() != next {
            return Ok((host, 1));
        }
        self.allocator.clusters(slots.count - 1)?;
        self.put_clusters(slots.first + 1, next, slots.count - 1, settings)?;
        Ok((host, slots.count))
    }

    /// Puts entries for `count` clusters from host byte `host` on.
    pub(super) fn put_clusters(&mut self, slot: usize, host: u64, count: u64, settings: &Settings) -> Result<()> {
        let hosts = (0..count).map(|index| host + (index << settings.cluster_bits));
        let table = self.l2.as_mut().ok_or_else(|| Error::out_of_bounds("there is no L2 table"))?;
        table.put_clusters(slot, hosts);
        Ok(())
    }

    /// Puts the open table among those that are to be written: pieces come in order, so it is complete.
    pub(super) fn close_table(&mut self) {
        self.to_write.extend(self.l2.take().map(|table| table.finish()));
    }

    /// Tables that are complete and not written yet.
    pub(super) fn take_tables(&mut self) -> Vec<Table> {
        let mut tables = std::mem::take(&mut self.to_write);
        tables.append(&mut self.allocator.to_write);
        tables
    }
}

impl Room for State {
    fn take(&mut self, clusters: u64) -> Result<u64> {
        self.allocator.clusters(clusters)
    }

    fn put(&mut self, table: Table) -> Result<()> {
        self.to_write.push(table);
        Ok(())
    }
}
