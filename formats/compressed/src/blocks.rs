//! Compressed files whose blocks can be decoded each for itself, read where they are.

mod cache;

use std::num::NonZeroU64;
use std::sync::Arc;

use cache::Cache;
use imgfmt_core::{Error, FileSlice, Limits, Result, Segment, Storage, StorageExt};

use crate::layout::WINDOW_BITS_MAX;

/// A block that can be decoded without what comes before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    /// Its first byte in the file.
    pub(crate) at: u64,
    /// Its bytes in the file.
    pub(crate) stored_len: u64,
    /// Bytes that it decodes to.
    pub(crate) len: u64,
    /// What else its format has to know of it.
    pub(crate) kind: u64,
}

impl Block {
    /// The bytes that it decodes to as the length of a buffer: the limit of [`Table`] is well below that of memory.
    pub(crate) fn buffer_len(&self) -> usize {
        usize::try_from(self.len).unwrap_or(usize::MAX - 1)
    }
}

/// The blocks of a file, in the order of their decoded bytes.
#[derive(Debug)]
pub(crate) struct Table {
    /// The blocks with the first decoded byte of each; none is empty.
    blocks: Vec<(u64, Block)>,
    /// Bytes that all blocks decode to.
    len: u64,
    /// Blocks that may follow, empty ones included: a file of nothing else shall not take long to look at.
    room: usize,
    /// Most bytes that a block may decode to, or take in the file.
    block_len_max: u64,
}

impl Table {
    /// An empty table.
    pub(crate) fn new(limits: &Limits) -> Self {
        let entry_len = size_of::<(u64, Block)>() as u64;
        let room = usize::try_from(limits.metadata_bytes / entry_len).unwrap_or(usize::MAX);
        let block_len_max = limits.unit_bytes.min(1 << WINDOW_BITS_MAX);
        Self { blocks: Vec::new(), len: 0, room, block_len_max }
    }

    /// Adds a block. Whether there is room for it, and it is small enough to be decoded for a few of its bytes.
    pub(crate) fn push(&mut self, block: Block) -> bool {
        if block.len.max(block.stored_len) > self.block_len_max {
            return false;
        }
        let (Some(len), Some(room)) = (self.len.checked_add(block.len), self.room.checked_sub(1)) else { return false };
        self.room = room;
        if block.len > 0 {
            self.blocks.push((self.len, block));
            self.len = len;
        }
        true
    }

    /// The table, where it makes sense to read single blocks.
    pub(crate) fn seekable(self) -> Option<Self> {
        (self.blocks.len() > 1).then_some(self)
    }

    /// Bytes that all blocks decode to.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// How many blocks there are.
    pub(crate) fn count(&self) -> usize {
        self.blocks.len()
    }

    /// The block that holds decoded byte `offset`, which is below [`len`](Self::len): its number and its first decoded byte.
    fn find(&self, offset: u64) -> (usize, u64) {
        let index = self.blocks.partition_point(|(start, _)| *start <= offset) - 1;
        (index, self.blocks[index].0)
    }
}

/// Decodes one block from its bytes in the file, and verifies it.
pub(crate) type DecodeBlock = fn(&Block, &[u8]) -> Result<Vec<u8>>;

/// The decoded bytes of a file of blocks.
#[derive(Debug)]
pub(crate) struct BlockStorage {
    /// The compressed file.
    inner: Arc<dyn Storage>,
    /// Its blocks.
    table: Table,
    /// Decodes one of them.
    decode: DecodeBlock,
    /// Blocks that were decoded last.
    cache: Cache,
}

impl BlockStorage {
    /// The decoded bytes of the file `inner` with the blocks of `table`.
    pub(crate) fn new(inner: Arc<dyn Storage>, table: Table, decode: DecodeBlock) -> Self {
        Self { inner, table, decode, cache: Cache::default() }
    }

    /// The bytes of block `index`. Where another thread is decoding it already, the time is used for one of the next, which
    /// whoever reads on will want.
    fn block(&self, index: usize) -> Result<Arc<[u8]>> {
        if self.cache.is_busy(index) {
            let next = (index + 1..self.table.count()).take(AHEAD).find(|&next| !self.cache.has(next));
            if let Some(next) = next {
                // What is wrong with it is said to whoever asks for it.
                let _ = self.cache.get(next, || self.decode(next));
            }
        }
        self.cache.get(index, || self.decode(index))
    }

    /// Decodes block `index`.
    fn decode(&self, index: usize) -> Result<Arc<[u8]>> {
        let (_, block) = self.table.blocks[index];
        // Both lengths are within the limit of the table.
        let stored_len = usize::try_from(block.stored_len).unwrap_or(usize::MAX);
        let stored = self.inner.read_vec(block.at, stored_len)?;
        (self.decode)(&block, &stored).map(Arc::from).map_err(|e| e.at(block.at))
    }
}

impl Storage for BlockStorage {
    fn len(&self) -> u64 {
        self.table.len()
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        if offset.checked_add(buf.len() as u64).is_none_or(|end| end > self.len()) {
            let what = format!("{} bytes are wanted here, but the data ends at byte {}", buf.len(), self.len());
            return Err(Error::out_of_bounds(what).at(offset));
        }
        let (mut buf, mut offset) = (buf, offset);
        while !buf.is_empty() {
            let (index, start) = self.table.find(offset);
            let bytes = self.block(index)?;
            let bytes = &bytes[usize::try_from(offset - start).unwrap_or(usize::MAX)..];
            let len = bytes.len().min(buf.len());
            buf[..len].copy_from_slice(&bytes[..len]);
            buf = &mut buf[len..];
            offset += len as u64;
        }
        Ok(())
    }

    fn segment(&self, offset: u64) -> Result<Segment> {
        match NonZeroU64::new(self.len().saturating_sub(offset)) {
            Some(len) => Ok(Segment { hole: false, len }),
            None => Err(Error::out_of_bounds(format!("the data ends at byte {}", self.len())).at(offset)),
        }
    }

    fn as_file(&self) -> Option<FileSlice<'_>> {
        None
    }

    fn as_slice(&self) -> Option<&[u8]> {
        None
    }
}

/// Blocks ahead of the one that is wanted that a thread decodes instead of waiting.
const AHEAD: usize = 3;
