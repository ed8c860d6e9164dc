//! Dynamic and differencing disks: what their editor knows, and how bytes are erased.

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use imgfmt_core::{
    Erase, Error, Image, ImageEditor, Medium, OpenContext, Preallocation, Result, StorageExt, write_zeros,
};

use super::check_bounds;
use super::put::Content;
use crate::footer::{DiskType, Footer};
use crate::footers::Footers;
use crate::header::Header;
use crate::layout::{ENTRY_LEN, SECTOR_LEN, UNUSED_ENTRY, be_u32s, bitmap_len};
use crate::patch::RawHeader;
use crate::space::{self, Grid, Structure};
use crate::{NAME, open};

/// A disk in blocks that is edited.
pub(super) struct BlockEditor<'a> {
    /// The file.
    medium: Arc<dyn Medium>,
    /// How it was opened.
    context: OpenContext<'a>,
    /// The disk.
    disk: Mutex<Disk>,
}

impl<'a> BlockEditor<'a> {
    /// An editor of the disk of `size` bytes in `medium`, which has this footer.
    pub(super) fn new(
        medium: Arc<dyn Medium>,
        context: OpenContext<'a>,
        footer: &Footer,
        footers: Footers,
        size: u64,
    ) -> Result<Self> {
        let disk = Mutex::new(Disk::new(&medium, footer, footers, size)?);
        Ok(Self { medium, context, disk })
    }

    /// The disk, to be changed, unless it is not known any more what it leads to.
    ///
    /// # Errors
    ///
    /// [`Io`](imgfmt_core::ErrorKind::Io).
    fn to_change(&self) -> Result<MutexGuard<'_, Disk>> {
        let disk = self.lock();
        disk.footers.halt.check().map_err(|e| e.in_format(NAME))?;
        Ok(disk)
    }

    /// The disk: what it leads to is whole at any time, so a thread that panicked elsewhere does no harm.
    fn lock(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A disk in blocks, as it is in the file at any time.
pub(super) struct Disk {
    /// The file.
    pub(super) medium: Arc<dyn Medium>,
    /// The footers.
    pub(super) footers: Footers,
    /// The header.
    pub(super) header: RawHeader,
    /// Where it is.
    pub(super) header_at: u64,
    /// Whether what is not stored is a parent's.
    pub(super) has_parent: bool,
    /// How large the disk is, and its blocks.
    pub(super) grid: Grid,
    /// Where the table is.
    pub(super) table_at: u64,
    /// Entries for which the table has room.
    pub(super) max_entries: u32,
    /// Those of the blocks of the disk.
    pub(super) table: Vec<u32>,
    /// Parts of the file that are in use no more, which the medium may not know yet.
    pub(super) freed: Vec<Range<u64>>,
    /// Where whole blocks may be placed.
    pub(super) free: Vec<u64>,
    /// Whether space has been freed.
    pub(super) shrinks: bool,
}

impl Disk {
    /// The disk of `size` bytes in `medium`, which keeps the rules of readers already.
    pub(super) fn new(medium: &Arc<dyn Medium>, footer: &Footer, footers: Footers, size: u64) -> Result<Self> {
        let storage = medium.as_ref();
        let header_at = footer.data_offset;
        let raw = RawHeader::read(storage, header_at)?;
        let header = Header::parse(&raw.0)?;
        let unsupported = |what: &str, at| Err(Error::unsupported(what).at(at));
        if !header_at.is_multiple_of(SECTOR_LEN) || !header.table_offset.is_multiple_of(ENTRY_LEN) {
            return unsupported("the header or the table lies across sectors, so that it cannot be changed", header_at);
        }
        if !space::xen_map(storage, header.table_offset + header.table_len())?.is_empty() {
            let what = "the disk has a block map of XenServer, which would no longer be true";
            return unsupported(what, header.table_offset);
        }
        let grid = Grid { size, block_len: u64::from(header.block_size) };
        let bytes = usize::try_from(grid.blocks() * ENTRY_LEN).unwrap_or(usize::MAX);
        let table = be_u32s(&storage.read_vec(header.table_offset, bytes)?, grid.blocks());
        if let Some(block) = space::blocks(&table, grid).find(|block| block.end > footers.end) {
            let what = format!("a block ends at byte {}, but data at byte {}", block.end, footers.end);
            return Err(Error::malformed(what).at(block.start));
        }
        Ok(Self {
            medium: Arc::clone(medium),
            footers,
            header: raw,
            header_at,
            has_parent: footer.disk_type == DiskType::Differencing,
            grid,
            table_at: header.table_offset,
            max_entries: header.max_table_entries,
            table,
            freed: Vec::new(),
            free: Vec::new(),
            shrinks: false,
        })
    }

    /// The entry of block `index`: where the block is.
    pub(super) fn block_at(&self, index: u64) -> Option<u64> {
        let entry = usize::try_from(index).ok().and_then(|index| self.table.get(index))?;
        (*entry != UNUSED_ENTRY).then(|| u64::from(*entry) * SECTOR_LEN)
    }

    /// Host byte of the data of a block at `at`.
    pub(super) fn data_at(&self, at: u64) -> u64 {
        at + bitmap_len(self.grid.block_len)
    }

    /// The parts of guest `range` by blocks.
    pub(super) fn parts(&self, range: Range<u64>) -> impl Iterator<Item = (u64, Range<u64>)> + use<> {
        let block_len = self.grid.block_len;
        let end = if range.is_empty() { 0 } else { range.end.div_ceil(block_len) };
        (range.start / block_len..end).map(move |index| {
            let start = index * block_len;
            (index, range.start.max(start)..range.end.min(start + block_len))
        })
    }

    /// Whether guest `part` is all of block `index`.
    fn is_whole(&self, index: u64, part: &Range<u64>) -> bool {
        let start = index * self.grid.block_len;
        part.start == start && part.end == (start + self.grid.block_len).min(self.grid.size)
    }

    /// Makes the bytes of `range` read as `how` says.
    fn erase(&mut self, range: &Range<u64>, how: Erase) -> Result<()> {
        check_bounds(range, self.grid.size)?;
        let parts = self.parts(range.clone());
        if how == Erase::Absent {
            if let Some((_, part)) = self.parts(range.clone()).find(|(index, part)| !self.is_whole(*index, part)) {
                let what = format!("bytes {part:?} are no whole block, and only whole blocks can be absent");
                return Err(Error::invalid(what));
            }
            return self.drop_blocks(parts.map(|(index, _)| index));
        }
        if self.has_parent {
            return self.put(range.clone(), Content::zeros(how));
        }
        let (whole, other): (Vec<_>, Vec<_>) =
            parts.partition(|(index, part)| how == Erase::Zero && self.is_whole(*index, part));
        for (index, part) in other {
            let Some(at) = self.block_at(index) else { continue };
            let host = self.data_at(at) + part.start % self.grid.block_len;
            let host = host..host + (part.end - part.start);
            match how {
                Erase::ZeroKeepSpace => write_zeros(self.medium.as_ref(), host)?,
                Erase::Zero | Erase::Absent => self.medium.clear(host)?,
            }
        }
        self.drop_blocks(whole.into_iter().map(|(index, _)| index))
    }

    /// Puts everything onto the medium; then what was freed can be used again.
    fn flush(&mut self) -> Result<()> {
        self.medium.sync()?;
        if self.freed.is_empty() {
            return Ok(());
        }
        let gaps = space::gaps(&self.structures()?, &self.table, self.grid, self.footers.end);
        self.freed.sort_unstable_by_key(|range| range.start);
        let mut free = Vec::new();
        let mut freed = self.freed.iter().peekable();
        for gap in gaps {
            // Padding around what was freed is in nobody's use, either; and of what was freed, some may be in use again.
            let mut here = false;
            while let Some(range) = freed.next_if(|range| range.start < gap.end) {
                here |= gap.start < range.end;
                if gap.start <= range.start && range.end <= gap.end && range.end - range.start == self.grid.stride() {
                    free.push(range.start);
                }
            }
            if here {
                self.medium.clear(gap)?;
            }
        }
        self.freed.clear();
        self.free.append(&mut free);
        Ok(())
    }

    /// Flushes, and ends the file where nothing is in use any more.
    fn close(&mut self) -> Result<()> {
        self.flush()?;
        if !self.shrinks {
            return Ok(());
        }
        let end = self.used_end()?;
        let medium = Arc::clone(&self.medium);
        self.footers.trim(medium.as_ref(), end)?;
        let end = self.footers.end;
        self.free.retain(|at| *at < end);
        Ok(())
    }

    /// The sector behind all that is in use, in front of the footer.
    pub(super) fn used_end(&self) -> Result<u64> {
        let end = space::used_end(&self.structures()?, &self.table, self.grid, self.footers.end);
        Ok(end.next_multiple_of(SECTOR_LEN))
    }

    /// What is neither a block nor a footer at the end.
    pub(super) fn structures(&self) -> Result<Vec<Structure>> {
        let header = Header::parse(&self.header.0)?;
        space::structures(self.medium.as_ref(), &header, self.header_at, self.has_parent)
    }
}

impl ImageEditor for BlockEditor<'_> {
    fn image(&self) -> Result<Box<dyn Image>> {
        let _unchanged = self.lock();
        Ok(open::open(Arc::clone(&self.medium) as _, &self.context).map_err(|e| e.in_format(NAME))?.image)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        let mut disk = self.to_change()?;
        let range = offset..offset.saturating_add(bytes.len() as u64);
        let written = check_bounds(&range, disk.grid.size).and_then(|()| disk.put(range, Content::Bytes(bytes)));
        written.map_err(|e| e.in_format(NAME))
    }

    fn erase(&self, range: Range<u64>, how: Erase) -> Result<()> {
        self.to_change()?.erase(&range, how).map_err(|e| e.in_format(NAME))
    }

    fn resize(&self, size: u64, preallocation: Preallocation) -> Result<()> {
        self.to_change()?.resize(size, preallocation).map_err(|e| e.in_format(NAME))
    }

    fn flush(&self) -> Result<()> {
        self.lock().flush().map_err(|e| e.in_format(NAME))
    }

    fn close(self: Box<Self>) -> Result<()> {
        self.lock().close().map_err(|e| e.in_format(NAME))
    }
}
