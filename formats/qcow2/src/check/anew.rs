//! New refcount structures, behind everything that is in use. Nothing names them before the header does, so that until
//! then the old ones count. Specification, "Host cluster management".

use std::collections::BTreeSet;

use imgfmt_core::{Error, Result, Target};

use super::width::RefcountWidth;
use crate::cluster::ClusterBits;
use crate::layout::{MAX_REFCOUNT_TABLE_LEN, TABLE_ENTRY_LEN};

/// Is told a cluster that is in use, and its refcount.
pub(crate) type Visit<'a> = dyn FnMut(u64, u64) -> Result<()> + 'a;

/// Calls a [`Visit`] with every cluster that is in use, old and new refcount structures apart, in ascending order, and the
/// same each time.
pub(crate) type Each<'a> = dyn Fn(&mut Visit<'_>) -> Result<()> + 'a;

/// Where new structures are.
pub(crate) struct Anew {
    /// How long clusters are.
    cluster: ClusterBits,
    /// How wide refcounts are.
    width: RefcountWidth,
    /// The first cluster of the table; the blocks follow it.
    first: u64,
    /// Clusters of the table.
    table_clusters: u64,
    /// The numbers of the blocks.
    blocks: BTreeSet<u64>,
}

impl Anew {
    /// Finds a place for the structures, at cluster `behind` or behind it, and which blocks there have to be.
    ///
    /// # Errors
    ///
    /// [`Unsupported`](imgfmt_core::ErrorKind::Unsupported) where the table would be too long, and what `each` meets.
    pub(crate) fn plan(cluster: ClusterBits, width: RefcountWidth, behind: u64, each: &Each<'_>) -> Result<Self> {
        let per_block = width.per_block(cluster);
        let (mut blocks, mut first) = (BTreeSet::new(), behind);
        each(&mut |used, _| {
            first = first.max(used + 1);
            blocks.insert(used / per_block);
            if blocks.len() as u64 > MAX_ENTRIES { Err(too_long()) } else { Ok(()) }
        })?;
        let mut anew = Self { cluster, width, first, table_clusters: 1, blocks };
        // Blocks count themselves, too.
        loop {
            let before = (anew.table_clusters, anew.blocks.len());
            let entries = anew.blocks.last().map_or(0, |last| last + 1);
            if entries > MAX_ENTRIES {
                return Err(too_long());
            }
            anew.table_clusters = (entries * TABLE_ENTRY_LEN).div_ceil(cluster.len()).max(1);
            anew.blocks.extend(anew.first / per_block..=(anew.end() - 1) / per_block);
            if before == (anew.table_clusters, anew.blocks.len()) {
                return Ok(anew);
            }
        }
    }

    /// Host byte of the table.
    pub(crate) fn host(&self) -> u64 {
        self.first << self.cluster.bits()
    }

    /// Clusters of the table, as the header says it.
    pub(crate) fn table_clusters(&self) -> u32 {
        u32::try_from(self.table_clusters).unwrap_or(u32::MAX)
    }

    /// The cluster behind the structures.
    pub(crate) fn end(&self) -> u64 {
        self.first + self.table_clusters + self.blocks.len() as u64
    }

    /// Writes the structures, and flushes them.
    ///
    /// # Errors
    ///
    /// [`Io`](imgfmt_core::ErrorKind::Io), and what `each` meets.
    pub(crate) fn write(&self, each: &Each<'_>, target: &dyn Target) -> Result<()> {
        target.write_at(&self.table(), self.host())?;
        let mut blocks = Blocks { anew: self, target, open: None, next: self.first + self.table_clusters };
        each(&mut |cluster, count| blocks.put(cluster, count))?;
        for cluster in self.first..self.end() {
            blocks.put(cluster, 1)?;
        }
        blocks.close()?;
        target.sync()
    }

    /// The table.
    fn table(&self) -> Vec<u8> {
        let bits = self.cluster.bits();
        let mut table = vec![0; (self.table_clusters << bits) as usize];
        for (block, place) in self.blocks.iter().zip(self.first + self.table_clusters..) {
            let at = (block * TABLE_ENTRY_LEN) as usize;
            table[at..at + TABLE_ENTRY_LEN as usize].copy_from_slice(&(place << bits).to_be_bytes());
        }
        table
    }
}

/// Writes the blocks one after the other.
struct Blocks<'a> {
    /// Which blocks there are.
    anew: &'a Anew,
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
        let width = self.anew.width;
        let per_block = width.per_block(self.anew.cluster);
        let number = cluster / per_block;
        if self.open.as_ref().is_none_or(|(open, _)| *open != number) {
            self.close()?;
            debug_assert!(self.anew.blocks.contains(&number), "every block has its place");
            self.open = Some((number, vec![0; self.anew.cluster.in_memory()]));
        }
        if let Some((_, bytes)) = &mut self.open {
            width.set(bytes, (cluster % per_block) as usize, count);
        }
        Ok(())
    }

    /// Writes the block that is being filled.
    fn close(&mut self) -> Result<()> {
        if let Some((_, bytes)) = self.open.take() {
            self.target.write_at(&bytes, self.next << self.anew.cluster.bits())?;
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
