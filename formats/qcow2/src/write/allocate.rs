//! Gives out host clusters, always at the end of the file, and counts their references.
//!
//! The counts of a run of clusters leave memory as a refcount block as soon as they are final, so an
//! image of any size is written with the counts of little more than one block in memory. A block lies
//! wherever the end of the file was when it became final; the refcount table, written last, says where.

use std::collections::VecDeque;

use imgfmt_core::{Error, Limits, Result};

use super::table::Table;

/// Gives out host clusters and host bytes.
#[derive(Debug)]
pub(super) struct Allocator {
    /// log2 of the cluster length.
    cluster_bits: u32,
    /// log2 of the width of a refcount in bits.
    refcount_order: u32,
    /// Index of the first cluster that is not given out.
    next: u64,
    /// The first free byte in a cluster that compressed units share; none where it is full.
    tail: Option<u64>,
    /// Counts of clusters from `first_open` on.
    open: VecDeque<u32>,
    /// Index of the first cluster whose count is not in a block yet; at the start of a block.
    first_open: u64,
    /// Host offsets of the blocks, in order.
    blocks: Vec<u64>,
    /// Blocks that are to be written.
    pub(super) to_write: Vec<Table>,
}

/// Where the refcount table lies once everything is given out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RefcountTable {
    /// Host offset.
    pub(super) host: u64,
    /// Length in clusters.
    pub(super) clusters: u32,
    /// Host bytes of the whole file.
    pub(super) file_len: u64,
}

impl Allocator {
    /// An allocator for an empty file.
    pub(super) fn new(cluster_bits: u32, refcount_order: u32) -> Self {
        Self {
            cluster_bits,
            refcount_order,
            next: 0,
            tail: None,
            open: VecDeque::new(),
            first_open: 0,
            blocks: Vec::new(),
            to_write: Vec::new(),
        }
    }

    /// The host byte of the cluster that is given out next.
    pub(super) fn next_host(&self) -> u64 {
        self.next << self.cluster_bits
    }

    /// Gives out `count` clusters that lie together, with one reference each, and returns the host offset.
    pub(super) fn clusters(&mut self, count: u64) -> Result<u64> {
        let host = self.take(count)?;
        self.close_blocks()?;
        Ok(host)
    }

    /// Gives out `len` bytes, at most a cluster, for a compressed unit, and adds a reference to each cluster
    /// that it touches. Units lie one behind the other as long as nothing comes between them.
    pub(super) fn bytes(&mut self, len: u64) -> Result<u64> {
        let host = match self.tail.filter(|&tail| self.can_share(tail, len)) {
            Some(tail) => tail,
            None => self.take(1)?,
        };
        let shares_first = self.tail == Some(host);
        if shares_first {
            let shared = self.index_of(host);
            if let Some(count) = self.open.get_mut(shared) {
                *count += 1;
            }
        }
        let end = host + len;
        if end > self.next << self.cluster_bits {
            self.take(1)?;
        }
        self.tail = Some(end).filter(|end| !end.is_multiple_of(self.cluster_len()));
        self.close_blocks()?;
        Ok(host)
    }

    /// Gives out the refcount table and the last blocks, and leaves all of them in `to_write`.
    pub(super) fn finish(mut self) -> Result<(RefcountTable, Vec<Table>)> {
        self.tail = None;
        let (blocks, clusters) = self.size_of_table();
        let table_len = clusters << self.cluster_bits;
        Limits::check("refcount table", table_len, crate::layout::MAX_REFCOUNT_TABLE_LEN)?;
        let host = self.take(clusters)?;
        let first = self.take(blocks - self.blocks.len() as u64)?;
        let mut at = first;
        while !self.open.is_empty() {
            self.close_block(at);
            at += self.cluster_len();
        }
        let mut table: Vec<u8> = self.blocks.iter().flat_map(|block| block.to_be_bytes()).collect();
        table.resize(usize::try_from(table_len).unwrap_or(usize::MAX), 0);
        self.to_write.push(Table { host, bytes: table });
        let clusters = u32::try_from(clusters).map_err(|_| Error::limit("the refcount table is too large"))?;
        Ok((RefcountTable { host, clusters, file_len: self.next << self.cluster_bits }, self.to_write))
    }

    /// How many blocks and table clusters there will be once both are given out themselves.
    fn size_of_table(&self) -> (u64, u64) {
        let (mut blocks, mut clusters) = (self.blocks.len() as u64, 1);
        loop {
            let total = self.next + clusters + (blocks - self.blocks.len() as u64);
            let needed = total.div_ceil(self.counts_per_block());
            let needed_clusters = (needed * 8).div_ceil(self.cluster_len()).max(1);
            if (needed, needed_clusters) == (blocks, clusters) {
                return (blocks, clusters);
            }
            (blocks, clusters) = (needed.max(blocks), needed_clusters.max(clusters));
        }
    }

    /// Gives out clusters without closing blocks.
    fn take(&mut self, count: u64) -> Result<u64> {
        let first = self.next;
        self.next = first
            .checked_add(count)
            .filter(|&next| next <= crate::layout::HOST_OFFSET_END >> self.cluster_bits)
            .ok_or_else(|| Error::limit("the image takes more than 2^56 bytes on the host"))?;
        self.open.extend(std::iter::repeat_n(1, usize::try_from(count).unwrap_or(usize::MAX)));
        Ok(first << self.cluster_bits)
    }

    /// Whether `len` bytes may start at `tail`, in a cluster that is in use already.
    fn can_share(&self, tail: u64, len: u64) -> bool {
        let max = 1u64.checked_shl(1 << self.refcount_order).map_or(u64::MAX, |end| end - 1);
        let count = self.open.get(self.index_of(tail)).copied().unwrap_or(u32::MAX);
        let room = self.cluster_len() - tail % self.cluster_len();
        let last = (tail >> self.cluster_bits) + 1 == self.next;
        u64::from(count) < max.min(u64::from(u32::MAX)) && (len <= room || last)
    }

    /// The place among the open counts of the cluster that holds `host`.
    fn index_of(&self, host: u64) -> usize {
        usize::try_from((host >> self.cluster_bits).wrapping_sub(self.first_open)).unwrap_or(usize::MAX)
    }

    /// Closes every block whose counts are final: all its clusters are given out, and none is shared still.
    fn close_blocks(&mut self) -> Result<()> {
        loop {
            let settled = self.tail.map_or(self.next, |tail| tail >> self.cluster_bits);
            if settled < self.first_open + self.counts_per_block() {
                return Ok(());
            }
            let host = self.take(1)?;
            self.close_block(host);
        }
    }

    /// Turns the first open counts into the block at `host`.
    fn close_block(&mut self, host: u64) {
        let per_block = usize::try_from(self.counts_per_block()).unwrap_or(usize::MAX);
        let counts = self.open.drain(..per_block.min(self.open.len()));
        let mut block = vec![0; 1 << self.cluster_bits];
        for (index, count) in counts.enumerate() {
            put_refcount(&mut block, index, count, self.refcount_order);
        }
        self.first_open += per_block as u64;
        self.blocks.push(host);
        self.to_write.push(Table { host, bytes: block });
    }

    /// Counts in a block.
    fn counts_per_block(&self) -> u64 {
        1 << (self.cluster_bits + 3 - self.refcount_order)
    }

    /// Bytes of a cluster.
    fn cluster_len(&self) -> u64 {
        1 << self.cluster_bits
    }
}

/// Writes count number `index` of a block, of `1 << order` bits. Specification, "Host cluster management":
/// narrow counts fill a byte from its lowest bit on, wide ones are big-endian.
pub(super) fn put_refcount(block: &mut [u8], index: usize, count: u32, order: u32) {
    let wide = u64::from(count).to_be_bytes();
    match order {
        0..=2 => {
            let bit = index << order;
            block[bit / 8] |= wide[7] << (bit % 8);
        }
        _ => {
            let len = 1 << (order - 3);
            block[index * len..(index + 1) * len].copy_from_slice(&wide[8 - len..]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compressed_units_share_clusters_until_something_comes_between() {
        let mut allocator = Allocator::new(16, 4);
        assert_eq!(allocator.clusters(2).unwrap(), 0);
        assert_eq!(allocator.bytes(50_000).unwrap(), 2 << 16);
        assert_eq!(allocator.bytes(50_000).unwrap(), (2 << 16) + 50_000);
        assert_eq!(allocator.open, [1, 1, 2, 1]);
        assert_eq!(allocator.clusters(1).unwrap(), 4 << 16);
        assert_eq!(allocator.bytes(60_000).unwrap(), 5 << 16, "it does not fit before the cluster between");
        assert_eq!(allocator.bytes(5_536).unwrap(), (5 << 16) + 60_000);
        assert_eq!(allocator.tail, None, "the cluster is full to the byte");
    }

    #[test]
    fn a_count_that_cannot_grow_starts_a_new_cluster() {
        let mut allocator = Allocator::new(16, 0);
        assert_eq!(allocator.bytes(100).unwrap(), 0);
        assert_eq!(allocator.bytes(100).unwrap(), 1 << 16);
    }

    #[test]
    fn every_cluster_is_counted_once_whatever_the_width() {
        for order in 0..=6 {
            for clusters in [1, 60, 63, 64, 65, 500, 5000] {
                let mut allocator = Allocator::new(9, order);
                for _ in 0..clusters {
                    allocator.clusters(1).unwrap();
                }
                let (table, writes) = allocator.finish().unwrap();
                let total = table.file_len >> 9;
                let blocks = total.div_ceil(1 << (12 - order));
                let bytes = &writes.iter().find(|write| write.host == table.host).unwrap().bytes;
                let entries: Vec<u64> =
                    bytes.chunks_exact(8).map(|entry| u64::from_be_bytes(entry.try_into().unwrap())).collect();
                assert_eq!(entries.iter().filter(|&&entry| entry != 0).count() as u64, blocks);
                let ones: u32 = entries
                    .iter()
                    .filter(|&&entry| entry != 0)
                    .map(|entry| writes.iter().find(|write| write.host == *entry).unwrap())
                    .map(|block| block.bytes.iter().map(|byte| byte.count_ones()).sum::<u32>())
                    .sum();
                assert_eq!(u64::from(ones), total, "order {order}, {clusters} clusters");
            }
        }
    }

    #[test]
    fn narrow_counts_fill_a_byte_from_its_lowest_bit() {
        let mut block = [0; 4];
        put_refcount(&mut block, 1, 1, 0);
        put_refcount(&mut block, 5, 3, 1);
        assert_eq!(block, [0b10, 0b1100, 0, 0]);
        put_refcount(&mut block, 1, 0x1234, 4);
        assert_eq!(block[2..], [0x12, 0x34]);
    }
}
