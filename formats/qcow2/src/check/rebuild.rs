//! New refcount structures, behind everything that is in use. The header names them when they are whole and on the
//! medium; until then the old ones count.

use std::collections::BTreeSet;

use imgfmt_core::{Error, Result, Target};

use super::counts::{Counts, UNIT, UNIT_LEN};
use super::pass::{MAX_PASSES, too_many};
use super::references::References;
use super::stored::Stored;
use super::subject::Subject;
use crate::layout::{MAX_REFCOUNT_TABLE_LEN, REFCOUNT_TABLE_OFFSET_AT, TABLE_ENTRY_LEN};

/// Where the new structures are.
struct Layout {
    /// The first cluster of the table; the blocks follow it.
    first: u64,
    /// Clusters of the table.
    table_clusters: u64,
    /// The numbers of the blocks.
    blocks: BTreeSet<u64>,
}

/// Writes new refcount structures that say how often clusters are used, and makes the header name them.
///
/// # Errors
///
/// [`Io`](imgfmt_core::ErrorKind::Io); [`Unsupported`](imgfmt_core::ErrorKind::Unsupported) where the table would be too
/// long.
pub(super) fn rebuild(
    subject: &Subject<'_>,
    references: &References,
    stored: &Stored<'_>,
    target: &dyn Target,
) -> Result<()> {
    let layout = Layout::new(subject, references, stored)?;
    let bits = subject.cluster().bits();
    target.write_at(&layout.table(subject), layout.first << bits)?;
    let mut blocks =
        Blocks { subject, layout: &layout, target, open: None, next: layout.first + layout.table_clusters };
    each_count(subject, references, &mut |cluster, count| blocks.put(cluster, count))?;
    for cluster in layout.first..layout.end() {
        blocks.put(cluster, 1)?;
    }
    blocks.close()?;
    target.sync()?;
    // Both fields lie in one sector, so that either the old structures count or the new ones.
    let clusters = u32::try_from(layout.table_clusters).map_err(|_| too_long())?;
    let fields = [&(layout.first << bits).to_be_bytes()[..], &clusters.to_be_bytes()].concat();
    target.write_at(&fields, REFCOUNT_TABLE_OFFSET_AT as u64)?;
    target.sync()
}

impl Layout {
    /// Finds a place for the structures, and which blocks there have to be.
    fn new(subject: &Subject<'_>, references: &References, stored: &Stored<'_>) -> Result<Self> {
        let per_block = subject.width().per_block(subject.cluster());
        let (mut blocks, mut first) = (BTreeSet::new(), behind(subject, stored));
        each_count(subject, references, &mut |cluster, _| {
            first = first.max(cluster + 1);
            blocks.insert(cluster / per_block);
            if blocks.len() as u64 > MAX_ENTRIES { Err(too_long()) } else { Ok(()) }
        })?;
        let mut layout = Self { first, table_clusters: 1, blocks };
        // Blocks count themselves, too.
        loop {
            let before = (layout.table_clusters, layout.blocks.len());
            let entries = layout.blocks.last().map_or(0, |last| last + 1);
            if entries > MAX_ENTRIES {
                return Err(too_long());
            }
            layout.table_clusters = (entries * TABLE_ENTRY_LEN).div_ceil(subject.cluster().len()).max(1);
            layout.blocks.extend(layout.first / per_block..=(layout.end() - 1) / per_block);
            if before == (layout.table_clusters, layout.blocks.len()) {
                return Ok(layout);
            }
        }
    }

    /// The cluster behind the structures.
    fn end(&self) -> u64 {
        self.first + self.table_clusters + self.blocks.len() as u64
    }

    /// The table.
    fn table(&self, subject: &Subject<'_>) -> Vec<u8> {
        let bits = subject.cluster().bits();
        let mut table = vec![0; (self.table_clusters << bits) as usize];
        for (block, place) in self.blocks.iter().zip(self.first + self.table_clusters..) {
            let at = (block * TABLE_ENTRY_LEN) as usize;
            table[at..at + TABLE_ENTRY_LEN as usize].copy_from_slice(&(place << bits).to_be_bytes());
        }
        table
    }
}

/// The cluster behind the old structures, which have to stay until the new ones count.
fn behind(subject: &Subject<'_>, stored: &Stored<'_>) -> u64 {
    let header = &subject.header;
    let table = subject.region(header.refcount_table_offset, header.refcount_table_clusters << header.cluster.bits());
    let blocks = stored.blocks().map(|block| (block >> header.cluster.bits()) + 1).max();
    table.map_or(0, |range| range.end).max(blocks.unwrap_or(0)).max(1)
}

/// Calls `visit` with every cluster that is in use, the refcount structures apart, and with its refcount, in ascending order.
fn each_count(
    subject: &Subject<'_>,
    references: &References,
    visit: &mut dyn FnMut(u64, u64) -> Result<()>,
) -> Result<()> {
    let mut start = 0;
    for _ in 0..MAX_PASSES {
        let mut counts = Counts::new(start, subject.limits.metadata_bytes);
        references.count(subject, None, &mut counts)?;
        let mut unit = start / UNIT_LEN;
        while let Some(found) = counts.next_unit(unit) {
            let mut counted = [0; UNIT];
            counts.get_unit(found, &mut counted);
            for (cluster, count) in (found * UNIT_LEN..).zip(counted).filter(|(_, count)| *count > 0) {
                visit(cluster, count.min(subject.width().max()))?;
            }
            unit = found + 1;
        }
        start = counts.window().end;
        if start == u64::MAX {
            return Ok(());
        }
    }
    Err(too_many())
}

/// Writes the blocks one after the other.
struct Blocks<'a> {
    /// The image.
    subject: &'a Subject<'a>,
    /// Which blocks there are.
    layout: &'a Layout,
    /// Where they are written.
    target: &'a dyn Target,
    /// The block that is being filled: its number and its bytes.
    open: Option<(u64, Vec<u8>)>,
    /// The cluster of the next block.
    next: u64,
}

impl Blocks<'_> {
    /// Stores the refcount of a cluster; clusters come in ascending order.
    fn put(&mut self, cluster: u64, count: u64) -> Result<()> {
        let width = self.subject.width();
        let per_block = width.per_block(self.subject.cluster());
        let number = cluster / per_block;
        if self.open.as_ref().is_none_or(|(open, _)| *open != number) {
            self.close()?;
            debug_assert!(self.layout.blocks.contains(&number), "every block has its place");
            self.open = Some((number, vec![0; self.subject.cluster().in_memory()]));
        }
        if let Some((_, bytes)) = &mut self.open {
            width.set(bytes, (cluster % per_block) as usize, count);
        }
        Ok(())
    }

    /// Writes the block that is being filled.
    fn close(&mut self) -> Result<()> {
        if let Some((_, bytes)) = self.open.take() {
            self.target.write_at(&bytes, self.next << self.subject.cluster().bits())?;
            self.next += 1;
        }
        Ok(())
    }
}

/// The error that there is no room for all refcounts.
fn too_long() -> Error {
    Error::unsupported(format!("a refcount table for the image would have more than {MAX_REFCOUNT_TABLE_LEN} bytes"))
}

/// Most entries of a refcount table.
const MAX_ENTRIES: u64 = MAX_REFCOUNT_TABLE_LEN / TABLE_ENTRY_LEN;
