//! Which entry of the block allocation table is whose.

use crate::layout::CHUNK_SECTORS;
use crate::metadata::Metadata;

/// Which entries there are, for a disk of some size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Geometry {
    /// Guest bytes of the disk.
    pub(crate) size: u64,
    /// Bytes of a block.
    pub(crate) block_len: u64,
    /// Bytes of a logical sector.
    pub(crate) sector_len: u64,
    /// Whether there are sector bitmaps behind the last chunk too.
    pub(crate) differencing: bool,
}

impl Geometry {
    /// The geometry of an image.
    pub(crate) fn of(metadata: &Metadata) -> Self {
        Self {
            size: metadata.size,
            block_len: metadata.block_len,
            sector_len: metadata.sector_len,
            differencing: metadata.parent.is_some(),
        }
    }

    /// Payload blocks of a chunk: those whose sectors one sector bitmap counts. § 2.5.
    pub(crate) fn chunk_blocks(&self) -> u64 {
        CHUNK_SECTORS * self.sector_len / self.block_len
    }

    /// Sectors of a block.
    pub(crate) fn block_sectors(&self) -> u64 {
        self.block_len / self.sector_len
    }

    /// Payload blocks of the disk.
    pub(crate) fn blocks(&self) -> u64 {
        self.size.div_ceil(self.block_len)
    }

    /// Entries of the table.
    pub(crate) fn entries(&self) -> u64 {
        let (blocks, ratio) = (self.blocks(), self.chunk_blocks());
        match self.differencing {
            true => blocks.div_ceil(ratio) * (ratio + 1),
            false => blocks + blocks.saturating_sub(1) / ratio,
        }
    }

    /// The entry of payload block `block`.
    pub(crate) fn payload_index(&self, block: u64) -> u64 {
        block + block / self.chunk_blocks()
    }

    /// The entry of the sector bitmap of chunk `chunk`.
    pub(crate) fn bitmap_index(&self, chunk: u64) -> u64 {
        (chunk + 1) * (self.chunk_blocks() + 1) - 1
    }

    /// How many payload blocks have their entries before entry `index`.
    pub(crate) fn blocks_before(&self, index: u64) -> u64 {
        index - index / (self.chunk_blocks() + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn geometry(size: u64, block_len: u64, differencing: bool) -> Geometry {
        Geometry { size, block_len, sector_len: 512, differencing }
    }

    #[test]
    fn a_bitmap_has_its_entry_behind_each_chunk() {
        let geometry = geometry(10 << 40, 1 << 20, false);
        assert_eq!(geometry.chunk_blocks(), 4096);
        assert_eq!(
            (geometry.payload_index(4095), geometry.bitmap_index(0), geometry.payload_index(4096)),
            (4095, 4096, 4097)
        );
        for block in [0, 1, 4095, 4096, 8191, 8192, 1_000_000] {
            assert_eq!(geometry.blocks_before(geometry.payload_index(block)), block);
        }
    }

    #[test]
    fn only_differencing_disks_end_with_a_bitmap() {
        for (size, plain, differencing) in [(0, 0, 0), (1, 1, 129), (128 << 25, 128, 129), ((128 << 25) + 1, 130, 258)]
        {
            assert_eq!(geometry(size, 32 << 20, false).entries(), plain, "{size}");
            assert_eq!(geometry(size, 32 << 20, true).entries(), differencing, "{size}");
        }
    }
}
