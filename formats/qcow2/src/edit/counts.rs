//! Refcounts in memory: those that were raised, to be written before what they are for.

use std::collections::BTreeSet;

use byteorder::{BigEndian, ByteOrder};
use imgfmt_core::{Error, Limits, Medium, Result, StorageExt};

use crate::check::width::RefcountWidth;
use crate::cluster::ClusterBits;
use crate::header::Header;
use crate::layout::{MAX_REFCOUNT_TABLE_LEN, OFFSET_MASK, REFCOUNT_TABLE_OFFSET_AT, TABLE_ENTRY_LEN};
use imgfmt_core::fields::Place;

/// A refcount block in memory.
struct Block {
    /// Its bytes.
    bytes: Vec<u8>,
    /// Whether they differ from those on the medium.
    dirty: bool,
}

/// The refcounts of an image that is being changed.
pub(super) struct Counts {
    /// How wide they are.
    pub(super) width: RefcountWidth,
    /// How long clusters are.
    cluster: ClusterBits,
    /// Host byte of the table.
    pub(super) table_host: u64,
    /// Host bytes of the blocks; 0 where there is none.
    pub(super) table: Vec<u64>,
    /// Entries of the table that differ from those on the medium.
    dirty_entries: BTreeSet<usize>,
    /// Whether the whole table has to be written, to its new place.
    pub(super) moved: bool,
    /// Blocks in memory, by their number: as many places as the table has entries, for all of a disk is counted now and then.
    blocks: Vec<Option<Box<Block>>>,
    /// The numbers of the blocks in memory.
    held: BTreeSet<usize>,
}

impl Counts {
    /// Reads the table of the image in `medium`.
    ///
    /// # Errors
    ///
    /// [`Malformed`](imgfmt_core::ErrorKind::Malformed) for entries that are no clusters, and what reading meets.
    pub(super) fn read(medium: &dyn Medium, header: &Header, limits: &Limits) -> Result<Self> {
        let entries = header.refcount_table_clusters * header.cluster.len() / TABLE_ENTRY_LEN;
        let len = limits.table_len("refcount_table_clusters", entries, TABLE_ENTRY_LEN)?;
        let mut bytes = vec![0; len];
        medium.read_padded(&mut bytes, header.refcount_table_offset)?;
        let table: Vec<u64> = bytes.chunks_exact(8).map(|entry| BigEndian::read_u64(entry) & OFFSET_MASK).collect();
        if let Some(wrong) = table.iter().find(|block| !header.cluster.aligns(**block)) {
            let place = Place::in_header("refcount_table_offset", REFCOUNT_TABLE_OFFSET_AT);
            return Err(place.malformed(format!("leads to a block at byte {wrong}, which is no cluster")));
        }
        Ok(Self {
            width: RefcountWidth::new(header.refcount_order),
            cluster: header.cluster,
            table_host: header.refcount_table_offset,
            table,
            dirty_entries: BTreeSet::new(),
            moved: false,
            blocks: Vec::new(),
            held: BTreeSet::new(),
        })
    }

    /// Clusters that one block counts.
    pub(super) fn per_block(&self) -> u64 {
        self.width.per_block(self.cluster)
    }

    /// The block that counts `cluster`.
    pub(super) fn block_of(&self, cluster: u64) -> usize {
        // A power of two, and asked for each cluster.
        usize::try_from(cluster >> self.per_block().trailing_zeros()).unwrap_or(usize::MAX)
    }

    /// Whether there is a block that counts `cluster`.
    pub(super) fn is_counted(&self, cluster: u64) -> bool {
        self.table.get(self.block_of(cluster)).is_some_and(|host| *host != 0)
    }

    /// The refcount of `cluster`.
    ///
    /// # Errors
    ///
    /// What reading the block meets.
    pub(super) fn get(&mut self, medium: &dyn Medium, cluster: u64) -> Result<u64> {
        if !self.is_counted(cluster) {
            return Ok(0);
        }
        let (width, index) = (self.width, self.index(cluster));
        Ok(width.get(&self.block(medium, cluster)?.bytes, index))
    }

    /// Makes `count` the refcount of `cluster`, which has a block.
    ///
    /// # Errors
    ///
    /// [`LimitExceeded`](imgfmt_core::ErrorKind::LimitExceeded) where it does not fit, and what reading the block meets.
    pub(super) fn set(&mut self, medium: &dyn Medium, cluster: u64, count: u64) -> Result<()> {
        if count > self.width.max() {
            let what =
                format!("a cluster would be used {count} times, and its refcount goes up to {}", self.width.max());
            return Err(Error::limit(what).field("refcount_order"));
        }
        let (width, index) = (self.width, self.index(cluster));
        let block = self.block(medium, cluster)?;
        width.set(&mut block.bytes, index, count);
        block.dirty = true;
        Ok(())
    }

    /// Which of its block's counts that of `cluster` is.
    fn index(&self, cluster: u64) -> usize {
        usize::try_from(cluster & (self.per_block() - 1)).unwrap_or(usize::MAX)
    }

    /// The block that counts `cluster`, in memory.
    fn block(&mut self, medium: &dyn Medium, cluster: u64) -> Result<&mut Block> {
        let index = self.block_of(cluster);
        if self.blocks.get(index).is_none_or(Option::is_none) {
            let host = self.table.get(index).copied().unwrap_or(0);
            let mut bytes = vec![0; self.cluster.in_memory()];
            medium.read_padded(&mut bytes, host)?;
            self.hold(index, Block { bytes, dirty: false });
        }
        let block = self.blocks.get_mut(index).and_then(Option::as_deref_mut);
        block.ok_or_else(|| Error::malformed("a refcount block is missing"))
    }

    /// Keeps a block in memory.
    fn hold(&mut self, index: usize, block: Block) {
        if self.blocks.len() <= index {
            self.blocks.resize_with(self.table.len().max(index + 1), || None);
        }
        self.blocks[index] = Some(Box::new(block));
        self.held.insert(index);
    }

    /// The blocks in memory, and their numbers.
    fn in_memory(&self) -> impl Iterator<Item = (usize, &Block)> {
        self.held.iter().filter_map(|&index| Some((index, self.blocks.get(index)?.as_deref()?)))
    }

    /// Puts a new block, all of whose counts are 0, at host byte `host`.
    pub(super) fn add_block(&mut self, index: usize, host: u64) {
        if self.table.len() <= index {
            self.table.resize(index + 1, 0);
        }
        self.table[index] = host;
        self.dirty_entries.insert(index);
        self.hold(index, Block { bytes: vec![0; self.cluster.in_memory()], dirty: true });
    }

    /// Entries that the table has room for where it is.
    pub(super) fn room(&self, clusters: u64) -> usize {
        usize::try_from(clusters * self.cluster.len() / TABLE_ENTRY_LEN).unwrap_or(usize::MAX)
    }

    /// Checks that a table of `clusters` may be.
    ///
    /// # Errors
    ///
    /// [`LimitExceeded`](imgfmt_core::ErrorKind::LimitExceeded).
    pub(super) fn check_table(&self, clusters: u64) -> Result<()> {
        Limits::check("refcount_table_clusters", clusters * self.cluster.len(), MAX_REFCOUNT_TABLE_LEN)
    }

    /// Whether anything has to be written.
    pub(super) fn is_dirty(&self) -> bool {
        self.moved || !self.dirty_entries.is_empty() || self.in_memory().any(|(_, block)| block.dirty)
    }

    /// Bytes that blocks take in memory.
    pub(super) fn held(&self) -> usize {
        self.held.len() * self.cluster.in_memory()
    }

    /// Writes all blocks that have changed. Their entries in the table are written later.
    ///
    /// # Errors
    ///
    /// [`Io`](imgfmt_core::ErrorKind::Io).
    pub(super) fn write_blocks(&mut self, medium: &dyn Medium) -> Result<()> {
        for &index in &self.held {
            if let Some(block) = self.blocks[index].as_deref_mut()
                && std::mem::take(&mut block.dirty)
            {
                medium.write_at(&block.bytes, self.table[index])?;
            }
        }
        Ok(())
    }

    /// Writes the entries of the table that have changed, or all of it where it has moved. Returns whether it wrote any.
    ///
    /// # Errors
    ///
    /// [`Io`](imgfmt_core::ErrorKind::Io).
    pub(super) fn write_table(&mut self, medium: &dyn Medium) -> Result<bool> {
        let entries = std::mem::take(&mut self.dirty_entries);
        if self.moved {
            let mut bytes: Vec<u8> = self.table.iter().flat_map(|host| host.to_be_bytes()).collect();
            bytes.resize(bytes.len().next_multiple_of(self.cluster.in_memory()), 0);
            medium.write_at(&bytes, self.table_host)?;
            return Ok(true);
        }
        for index in &entries {
            medium.write_at(&self.table[*index].to_be_bytes(), self.table_host + *index as u64 * TABLE_ENTRY_LEN)?;
        }
        Ok(!entries.is_empty())
    }

    /// Forgets blocks that are as on the medium, so that few stay in memory.
    pub(super) fn forget_clean(&mut self) {
        let clean: Vec<usize> = self.in_memory().filter(|(_, block)| !block.dirty).map(|(index, _)| index).collect();
        for index in clean {
            self.blocks[index] = None;
            self.held.remove(&index);
        }
    }
}
