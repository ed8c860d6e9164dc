//! Gives blocks their places, in guest order, and fills the block allocation table as they become known.

use std::ops::Range;
use std::sync::Arc;

use imgfmt_core::{Error, Form, Piece, Placed, Result, Target};

use super::block::{Block, Kind};
use super::settings::{Places, Settings};
use super::table::Table;
use crate::geometry::Geometry;
use crate::layout::{SECTOR_BITMAP_LEN, state};

/// What changes from piece to piece.
pub(super) struct State {
    /// Where the image is written to.
    target: Arc<dyn Target>,
    /// The disk.
    geometry: Geometry,
    /// Guest bytes that will be placed.
    placed_len: u64,
    /// Whether every block has its place.
    fixed: bool,
    /// The state of a block of zeros.
    zero_state: u64,
    /// Whether what is not written has to be cleared.
    clears: bool,
    /// The first host byte that is not given out.
    next: u64,
    /// The table.
    table: Table,
    /// The block that pieces go to.
    block: Option<Block>,
    /// The sector bitmap of the chunk that pieces go to, where there is need of one.
    bitmap: Option<Bitmap>,
}

/// A sector bitmap in the making.
struct Bitmap {
    /// The chunk that it is about.
    chunk: u64,
    /// Its place.
    host: u64,
    /// A bit for each sector.
    bits: Vec<u8>,
}

impl State {
    /// Nothing is placed yet.
    pub(super) fn new(target: Arc<dyn Target>, settings: &Settings, places: &Places, clears: bool) -> Self {
        let hides = settings.zero_state || settings.geometry.differencing;
        Self {
            target,
            geometry: settings.geometry,
            placed_len: settings.placed_len,
            fixed: settings.fixed,
            zero_state: if hides { state::ZERO } else { state::NOT_PRESENT },
            clears,
            next: places.data,
            table: Table::new(places.bat),
            block: None,
            bitmap: None,
        }
    }

    /// Gives `piece` its place, as far as its first block goes.
    ///
    /// # Errors
    ///
    /// As [`ImageWriter::place`](imgfmt_core::ImageWriter::place).
    pub(super) fn place(&mut self, piece: &Piece) -> Result<Placed> {
        match piece.form {
            Form::Encoded(_) => Err(Error::unsupported("a VHDX image cannot hold compressed units")),
            Form::Zero => self.place_idle(piece, Kind::Zero),
            Form::Absent => self.place_idle(piece, Kind::Absent),
            Form::Plain => self.place_data(piece),
        }
    }

    /// Completes what is open, and returns the length of the file.
    ///
    /// # Errors
    ///
    /// [`Io`](imgfmt_core::ErrorKind::Io) from the target.
    pub(super) fn finish(&mut self) -> Result<u64> {
        self.close_block()?;
        self.close_bitmap()?;
        self.table.flush(self.target.as_ref())?;
        Ok(self.next)
    }

    /// Places data.
    fn place_data(&mut self, piece: &Piece) -> Result<Placed> {
        let within = self.within_block(piece.guest, piece.guest.saturating_add(piece.len));
        let mut block = self.take_block(piece.guest / self.geometry.block_len)?;
        let host = match block.host {
            Some(host) => host,
            None => self.give_out(self.geometry.block_len)?,
        };
        block.host = Some(host);
        block.note(within.clone(), Kind::Data);
        self.block = Some(block);
        Ok(Placed { host: host + within.start, len: within.end - within.start })
    }

    /// Takes note of bytes that nothing is stored for: whole blocks as such, the rest in the block where they are.
    fn place_idle(&mut self, piece: &Piece, kind: Kind) -> Result<Placed> {
        let (mut guest, end) = (piece.guest, piece.guest.saturating_add(piece.len));
        let len = self.geometry.block_len;
        while guest < end {
            let index = guest / len;
            let whole_end = if end >= self.placed_len { end.div_ceil(len) } else { end / len };
            if guest.is_multiple_of(len) && whole_end > index {
                self.close_block()?;
                self.idle_blocks(index..whole_end, kind)?;
                guest = end.min(whole_end * len);
                continue;
            }
            let within = self.within_block(guest, end);
            guest += within.end - within.start;
            let mut block = self.take_block(index)?;
            block.note(within, kind);
            self.block = Some(block);
        }
        Ok(Placed { host: 0, len: piece.len })
    }

    /// Enters whole blocks that are all of one idle kind.
    fn idle_blocks(&mut self, blocks: Range<u64>, kind: Kind) -> Result<()> {
        if !self.fixed && self.idle_state(kind) == state::NOT_PRESENT {
            return Ok(());
        }
        for index in blocks {
            self.block = Some(self.take_block(index)?);
            if let Some(block) = &mut self.block {
                block.note(0..self.geometry.block_len, kind);
            }
            self.close_block()?;
        }
        Ok(())
    }

    /// The state of a block that is all of one idle kind and not stored.
    fn idle_state(&self, kind: Kind) -> u64 {
        if kind == Kind::Zero { self.zero_state } else { state::NOT_PRESENT }
    }

    /// The bytes from `guest` to `end`, as far as they are in one block, counted from its start.
    fn within_block(&self, guest: u64, end: u64) -> Range<u64> {
        let start = guest % self.geometry.block_len;
        start..(start + (end - guest)).min(self.geometry.block_len)
    }

    /// The block that pieces go to: block `index`, and none that came before.
    fn take_block(&mut self, index: u64) -> Result<Block> {
        if let Some(block) = self.block.take_if(|block| block.index == index) {
            return Ok(block);
        }
        self.close_block()?;
        let host = if self.fixed { Some(self.give_out(self.geometry.block_len)?) } else { None };
        Ok(Block::new(index, host))
    }

    /// Enters the block that pieces went to.
    fn close_block(&mut self) -> Result<()> {
        let Some(mut block) = self.block.take() else { return Ok(()) };
        let chunk = block.index / self.geometry.chunk_blocks();
        if self.bitmap.as_ref().is_some_and(|bitmap| bitmap.chunk != chunk) {
            self.close_bitmap()?;
        }
        // Only a stored block can be in part the parent's.
        if block.host.is_none() && block.has(Kind::Zero) && block.has(Kind::Absent) {
            block.host = Some(self.give_out(self.geometry.block_len)?);
        }
        let entry = match block.host {
            None if block.has(Kind::Zero) => self.zero_state,
            None => state::NOT_PRESENT,
            Some(host) => {
                self.clear_gaps(&block, host)?;
                let partial = self.geometry.differencing && block.has(Kind::Absent);
                if partial {
                    self.mark_sectors(&block, chunk)?;
                }
                host | if partial { state::PARTIALLY_PRESENT } else { state::FULLY_PRESENT }
            }
        };
        match entry {
            state::NOT_PRESENT => Ok(()),
            entry => self.table.set(self.geometry.payload_index(block.index), entry, self.target.as_ref()),
        }
    }

    /// Makes what nothing is stored in read as zeros.
    fn clear_gaps(&self, block: &Block, host: u64) -> Result<()> {
        if !self.clears {
            return Ok(());
        }
        block.gaps(self.geometry.block_len).try_for_each(|gap| self.target.clear(host + gap.start..host + gap.end))
    }

    /// Sets the bits of the sectors of `block` that are not the parent's.
    fn mark_sectors(&mut self, block: &Block, chunk: u64) -> Result<()> {
        let mut bitmap = match self.bitmap.take() {
            Some(bitmap) => bitmap,
            None => Bitmap::new(chunk, self.give_out(SECTOR_BITMAP_LEN)?),
        };
        let base = block.index % self.geometry.chunk_blocks() * self.geometry.block_sectors();
        for run in block.own() {
            let sector_len = self.geometry.sector_len;
            bitmap.set(base + run.start / sector_len..base + run.end.div_ceil(sector_len));
        }
        self.bitmap = Some(bitmap);
        Ok(())
    }

    /// Writes and enters the bitmap of the chunk that pieces went to.
    fn close_bitmap(&mut self) -> Result<()> {
        let Some(bitmap) = self.bitmap.take() else { return Ok(()) };
        self.target.write_at(&bitmap.bits, bitmap.host)?;
        let index = self.geometry.bitmap_index(bitmap.chunk);
        self.table.set(index, bitmap.host | state::FULLY_PRESENT, self.target.as_ref())
    }

    /// Gives out host bytes at the end of the file: whole MiB.
    fn give_out(&mut self, len: u64) -> Result<u64> {
        let host = self.next;
        self.next = host.checked_add(len).ok_or_else(|| Error::limit("the image takes more than 2^64 bytes"))?;
        Ok(host)
    }
}

impl Bitmap {
    /// A bitmap without a bit.
    fn new(chunk: u64, host: u64) -> Self {
        Self { chunk, host, bits: vec![0; usize::try_from(SECTOR_BITMAP_LEN).unwrap_or(0)] }
    }

    /// Sets the bits of these sectors.
    fn set(&mut self, sectors: Range<u64>) {
        for sector in sectors {
            if let Some(byte) = usize::try_from(sector / 8).ok().and_then(|at| self.bits.get_mut(at)) {
                *byte |= 1 << (sector % 8);
            }
        }
    }
}
