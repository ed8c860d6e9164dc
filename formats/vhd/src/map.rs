//! The disk: from guest bytes to where they are.

use std::ops::Range;
use std::sync::Arc;

use imgfmt_core::{Description, Encoded, Error, ExtentKind, ExtentSink, Image, Pages, Result, SourceId, Storage, read};

use crate::NAME;
use crate::bitmap::SectorBitmap;
use crate::layout::{SECTOR_LEN, bitmap_len};
use crate::table::{BlockTable, CACHE_LEN};

/// A disk.
pub(crate) struct VhdImage {
    /// The file, as the one source.
    pub(crate) sources: [Arc<dyn Storage>; 1],
    /// Guest bytes.
    pub(crate) size: u64,
    /// Where they are.
    pub(crate) content: Content,
    /// What is to be said about it.
    pub(crate) description: Description,
}

/// Where the bytes of a disk are.
#[derive(Debug)]
pub(crate) enum Content {
    /// Guest byte n is host byte n, all of them.
    Fixed,
    /// In blocks.
    Blocks(Box<Blocks>),
}

/// The blocks of a disk.
#[derive(Debug)]
pub(crate) struct Blocks {
    /// Where each is.
    pub(crate) table: BlockTable,
    /// Bytes of data of each.
    pub(crate) block_len: u64,
    /// The byte before which all of them have to end.
    pub(crate) data_end: u64,
    /// Whether what is not stored is the parent's.
    pub(crate) has_parent: bool,
    /// Bitmaps in memory.
    bitmaps: Pages<u64, SectorBitmap>,
}

impl Blocks {
    /// Blocks of `block_len` bytes each.
    pub(crate) fn new(table: BlockTable, block_len: u64, data_end: u64, has_parent: bool) -> Self {
        let bitmaps = Pages::within(CACHE_LEN, bitmap_len(block_len));
        Self { table, block_len, data_end, has_parent, bitmaps }
    }

    /// Answers for `range`.
    ///
    /// A sector whose bit is clear was never written: it is the parent's, or zero, whatever the block holds there.
    fn map(&self, storage: &dyn Storage, range: Range<u64>, sink: &mut ExtentSink<'_>) -> Result<()> {
        let mut next = range.start;
        while next < range.end && !sink.is_full() {
            let index = next / self.block_len;
            next = match self.table.sector(storage, index)? {
                Some(sector) => self.map_block(storage, index, sector, next..range.end, sink)?,
                None => {
                    let end = (index + self.table.unused_run(storage, index)?.max(1)) * self.block_len;
                    sink.push(next, end - next, self.absent());
                    end
                }
            };
        }
        Ok(())
    }

    /// Answers for what of `range`, which starts there, lies in block `index` at `sector`; returns where that ends.
    fn map_block(
        &self,
        storage: &dyn Storage,
        index: u64,
        sector: u32,
        range: Range<u64>,
        sink: &mut ExtentSink<'_>,
    ) -> Result<u64> {
        let at = u64::from(sector) * SECTOR_LEN;
        let read = || SectorBitmap::read(storage, at, self.block_len, self.data_end).map(Arc::new);
        let bitmap = self.bitmaps.get(index, read)?;
        let (start, data) = (index * self.block_len, at + bitmap_len(self.block_len));
        let end = range.end.min(start + self.block_len);
        let mut next = range.start;
        while next < end && !sink.is_full() {
            let first = (next - start) / SECTOR_LEN;
            let (stored, run_end) = bitmap.run(first, (end - start).div_ceil(SECTOR_LEN));
            let run_end = (start + run_end * SECTOR_LEN).min(end);
            let kind = if stored {
                let host = data + (next - start);
                self.check_stored(index, host + (run_end - next))?;
                ExtentKind::Data { source: SourceId(0), host }
            } else {
                self.absent()
            };
            sink.push(next, run_end - next, kind);
            next = run_end;
        }
        Ok(next)
    }

    /// What a byte is that is not stored.
    fn absent(&self) -> ExtentKind {
        if self.has_parent { ExtentKind::Parent } else { ExtentKind::Zero { explicit: false } }
    }

    /// Checks that what is stored of block `index` up to `host_end` is in the file.
    fn check_stored(&self, index: u64, host_end: u64) -> Result<()> {
        if host_end <= self.data_end {
            return Ok(());
        }
        let what = format!("block {index} is stored up to byte {host_end}, but data ends at byte {}", self.data_end);
        Err(Error::out_of_bounds(what).field("Block Allocation Table").at(self.table.entry_at(index)))
    }
}

impl VhdImage {
    /// Answers for `range` of a fixed disk: the file's own holes are zeros.
    fn map_fixed(&self, range: Range<u64>, sink: &mut ExtentSink<'_>) -> Result<()> {
        let mut next = range.start;
        while next < range.end && !sink.is_full() {
            let segment = self.sources[0].segment(next)?;
            let kind = if segment.hole {
                ExtentKind::Zero { explicit: false }
            } else {
                ExtentKind::Data { source: SourceId(0), host: next }
            };
            sink.push(next, segment.len.get(), kind);
            next = next.saturating_add(segment.len.get());
        }
        Ok(())
    }
}

impl Image for VhdImage {
    fn size(&self) -> u64 {
        self.size
    }

    fn sources(&self) -> &[Arc<dyn Storage>] {
        &self.sources
    }

    fn map(&self, range: Range<u64>, sink: &mut ExtentSink<'_>) -> Result<()> {
        let mapped = match &self.content {
            Content::Fixed => self.map_fixed(range, sink),
            Content::Blocks(blocks) => blocks.map(self.sources[0].as_ref(), range, sink),
        };
        mapped.map_err(|e| e.in_format(NAME))
    }

    fn stored_body(&self, _unit_start: u64, _unit: &Encoded, _stored: &[u8]) -> Result<Range<usize>> {
        Err(Error::malformed("a VHD has no compressed units").in_format(NAME))
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        read::through_map(self, buf, offset)
    }

    fn describe(&self) -> Description {
        self.description.clone()
    }
}
