//! What of a file with a table is in use, and what is not.

use std::ops::Range;

use imgfmt_core::{Result, Storage, StorageExt};

use crate::header::Header;
use crate::layout::{
    FOOTER_LEN, HEADER_LEN, SECTOR_LEN, UNUSED_ENTRY, XEN_MAP_COOKIE, XEN_MAP_LEN_AT, XEN_MAP_OFFSET_AT, be_u32,
    be_u64, bitmap_len,
};

/// How long the blocks of a disk are in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grid {
    /// Guest bytes of the disk.
    pub(crate) size: u64,
    /// Bytes of data of a block.
    pub(crate) block_len: u64,
}

impl Grid {
    /// Blocks of the disk.
    pub(crate) fn blocks(self) -> u64 {
        self.size.div_ceil(self.block_len)
    }

    /// Bytes of a whole block in the file, with its bitmap.
    pub(crate) fn stride(self) -> u64 {
        bitmap_len(self.block_len) + self.block_len
    }

    /// Bytes of block `index` in the file: the last one may end with the disk.
    pub(crate) fn stored_len(self, index: u64) -> u64 {
        let tail = self.size % self.block_len;
        if index + 1 < self.blocks() || tail == 0 {
            return self.stride();
        }
        bitmap_len(self.block_len) + tail.next_multiple_of(SECTOR_LEN)
    }
}

/// A part of the file, and what it holds.
pub(crate) type Structure = (Range<u64>, &'static str);

/// Everything of a file with a table that is no block and no footer at the end.
pub(crate) fn structures(
    storage: &dyn Storage,
    header: &Header,
    header_at: u64,
    has_parent: bool,
) -> Result<Vec<Structure>> {
    let table = header.table_offset..header.table_offset.saturating_add(header.table_len());
    let mut all = vec![
        (0..FOOTER_LEN as u64, "the copy of the footer"),
        (header_at..header_at.saturating_add(HEADER_LEN as u64), "the header"),
    ];
    all.extend(xen_map(storage, table.end)?);
    all.push((table, "the table"));
    if has_parent {
        all.extend(names(header).map(|range| (range, "the name of the parent")));
    }
    Ok(all)
}

/// Where the names of the parent are, in whole sectors.
pub(crate) fn names(header: &Header) -> impl Iterator<Item = Range<u64>> + '_ {
    let data = header.locators.iter().filter(|locator| locator.code != [0; 4] && locator.len > 0);
    data.map(|locator| {
        let end = locator.at.saturating_add(u64::from(locator.len));
        locator.at..end.checked_next_multiple_of(SECTOR_LEN).unwrap_or(end)
    })
}

/// XenServer's own table of whole blocks, which lies behind the block table.
pub(crate) fn xen_map(storage: &dyn Storage, table_end: u64) -> Result<Vec<Structure>> {
    let Some(at) = table_end.checked_next_multiple_of(SECTOR_LEN) else { return Ok(Vec::new()) };
    if at.saturating_add(SECTOR_LEN) > storage.len() {
        return Ok(Vec::new());
    }
    let head = storage.read_array::<{ SECTOR_LEN as usize }>(at)?;
    if !head.starts_with(&XEN_MAP_COOKIE) {
        return Ok(Vec::new());
    }
    let map_at = be_u64::<XEN_MAP_OFFSET_AT, { SECTOR_LEN as usize }>(&head);
    let len = u64::from(be_u32::<XEN_MAP_LEN_AT, { SECTOR_LEN as usize }>(&head)) * SECTOR_LEN;
    Ok(vec![(at..at + SECTOR_LEN, XEN_MAP), (map_at..map_at.saturating_add(len), XEN_MAP)])
}

/// What nothing in a file up to byte `end` uses: between `structures` and the blocks of `table`, in the order of the file.
pub(crate) fn gaps(structures: &[Structure], table: &[u32], grid: Grid, end: u64) -> Vec<Range<u64>> {
    gaps_between(structures, blocks(table, grid), end)
}

/// What nothing in a file up to byte `end` uses, where the last block is whole as all others, whatever lies there.
pub(crate) fn gaps_of_whole(structures: &[Structure], table: &[u32], grid: Grid, end: u64) -> Vec<Range<u64>> {
    gaps_between(structures, blocks(table, grid).map(|block| block.start..block.start + grid.stride()), end)
}

/// What lies between `structures` and `blocks` up to byte `end`.
fn gaps_between(structures: &[Structure], blocks: impl Iterator<Item = Range<u64>>, end: u64) -> Vec<Range<u64>> {
    let mut used: Vec<Range<u64>> = structures.iter().map(|(range, _)| range.clone()).collect();
    used.extend(blocks);
    used.sort_unstable_by_key(|range| range.start);
    let mut gaps = Vec::new();
    let mut next = 0;
    for range in used {
        if range.start > next && next < end {
            gaps.push(next..range.start.min(end));
        }
        next = next.max(range.end);
    }
    if next < end {
        gaps.push(next..end);
    }
    gaps
}

/// Where everything ends that is in use in a file whose data ends at byte `end`. The last block of the disk is whole there,
/// where it can be: not all readers take one that ends with the disk.
pub(crate) fn used_end(structures: &[Structure], table: &[u32], grid: Grid, end: u64) -> u64 {
    let whole =
        |block: Range<u64>| Some(block.start + grid.stride()).filter(|whole| *whole <= end).unwrap_or(block.end);
    let structures = structures.iter().map(|(range, _)| range.end);
    structures.chain(blocks(table, grid).map(whole)).max().unwrap_or(0)
}

/// Where the blocks of `table` are.
pub(crate) fn blocks(table: &[u32], grid: Grid) -> impl Iterator<Item = Range<u64>> {
    let used = (0..).zip(table).filter(|(_, entry)| **entry != UNUSED_ENTRY);
    used.map(move |(index, entry)| {
        let at = u64::from(*entry) * SECTOR_LEN;
        at..at + grid.stored_len(index)
    })
}

/// What the table of XenServer is called.
const XEN_MAP: &str = "the block map of XenServer";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_between_is_a_gap() {
        let grid = Grid { size: 8192 + 512, block_len: 4096 };
        assert_eq!((grid.blocks(), grid.stride(), grid.stored_len(1), grid.stored_len(2)), (3, 4608, 4608, 1024));
        let structures = [(0..512, "a"), (512..1536, "b"), (1536..1548, "c")];
        let table = [20, UNUSED_ENTRY, 4];
        assert_eq!(gaps(&structures, &table, grid, 20_000), [1548..2048, 3072..10_240, 14_848..20_000]);
        assert_eq!(gaps(&structures, &table, grid, 14_848), [1548..2048, 3072..10_240]);
    }
}
