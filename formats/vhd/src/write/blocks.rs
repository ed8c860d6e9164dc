//! Dynamic and differencing disks: blocks, and what says where they are.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use imgfmt_core::{CreateRequest, Error, Form, ImageWriter, Order, Piece, Placed, Result, Shape, Target};
use uuid::Uuid;

use super::parent::ParentFields;
use super::settings::Settings;
use super::size_needed;
use crate::bitmap::set_bits;
use crate::header::{Header, Locator};
use crate::layout::{
    ENTRY_LEN, FOOTER_LEN, HEADER_LEN, LOCATOR_COUNT, PAGE_LEN, PARENT_NAME_LEN, SECTOR_LEN, UNUSED_ENTRY, bitmap_len,
};

/// Writes a disk in blocks.
pub(super) struct BlockWriter {
    /// Where it goes.
    target: Arc<dyn Target>,
    /// What it is to be.
    settings: Settings,
    /// What it says of its parent.
    parent: Option<ParentFields>,
    /// Where what is not a block goes.
    plan: Plan,
    /// Whether what is not written reads as zeros.
    target_is_zero: bool,
    /// Whether zeros are written, too.
    writes_zeros: bool,
    /// What changes from piece to piece.
    state: Mutex<State>,
}

/// Places that are known before the first block is.
#[derive(Clone, Copy, Debug)]
struct Plan {
    /// Blocks of the disk.
    blocks: u32,
    /// Where the parent's names are.
    locators_at: u64,
    /// Where the first block may start.
    blocks_at: u64,
    /// The data of each block starts at a multiple of this.
    align: u64,
}

/// What changes from piece to piece.
#[derive(Debug)]
struct State {
    /// The first byte that nothing has.
    free: u64,
    /// The table.
    table: Vec<u32>,
    /// The block of the last piece.
    open: Option<Block>,
}

/// A block in the making.
#[derive(Debug)]
struct Block {
    /// Its number.
    index: u64,
    /// Where its bitmap goes.
    at: u64,
    /// Its bitmap.
    bitmap: Vec<u8>,
}

impl BlockWriter {
    /// Starts a disk.
    pub(super) fn new(target: Arc<dyn Target>, settings: Settings, request: &CreateRequest<'_>) -> Result<Self> {
        let parent = request.backing.map(ParentFields::new).transpose()?;
        let plan = Plan::new(&settings, parent.as_ref())?;
        if !request.target_is_zero {
            target.set_len(0)?;
            // What is left of an older disk must not be taken for one that is whole.
            target.clear(0..(FOOTER_LEN + HEADER_LEN) as u64)?;
        }
        let table = vec![UNUSED_ENTRY; plan.blocks as usize];
        let state = Mutex::new(State { free: plan.blocks_at, table, open: None });
        let (target_is_zero, writes_zeros) = (request.target_is_zero, request.full_allocation);
        Ok(Self { target, settings, parent, plan, target_is_zero, writes_zeros, state })
    }

    /// The state; a panic elsewhere stops the conversion, so what it left is not used.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes of a block's data.
    fn block_len(&self) -> u64 {
        u64::from(self.settings.block_len)
    }

    /// Places the part of `piece` that lies in its first block.
    fn place_in_block(&self, piece: &Piece) -> Result<Placed> {
        let mut state = self.lock();
        let index = piece.guest / self.block_len();
        if state.open.as_ref().is_none_or(|block| block.index != index) {
            self.write_bitmap(state.open.take())?;
            let block = self.new_block(&mut state, index)?;
            state.open = Some(block);
        }
        let within = piece.guest % self.block_len();
        let len = piece.len.min(self.block_len() - within);
        let Some(block) = &mut state.open else {
            return Err(Error::malformed("there is no block to place a piece in"));
        };
        set_bits(&mut block.bitmap, within / SECTOR_LEN, (within + len).div_ceil(SECTOR_LEN));
        Ok(Placed { host: block.at + bitmap_len(self.block_len()) + within, len })
    }

    /// Gives block `index` its place. Where there is no parent, all of it is stored.
    fn new_block(&self, state: &mut State, index: u64) -> Result<Block> {
        let bitmap_len = bitmap_len(self.block_len());
        let data = (state.free + bitmap_len).next_multiple_of(self.plan.align);
        let at = data - bitmap_len;
        let sector = u32::try_from(at / SECTOR_LEN).ok().filter(|&sector| sector != UNUSED_ENTRY);
        let sector = sector.ok_or_else(|| Error::limit("the file would pass 2 TiB, beyond which no block can lie"))?;
        let slot = usize::try_from(index).ok().and_then(|index| state.table.get_mut(index));
        *slot.ok_or_else(|| Error::out_of_bounds("a piece lies beyond the end of the disk"))? = sector;
        if !self.target_is_zero {
            self.target.clear(state.free..data + self.block_len())?;
        }
        state.free = data + self.block_len();
        let mut bitmap = vec![0; usize::try_from(bitmap_len).unwrap_or(usize::MAX)];
        if self.parent.is_none() {
            set_bits(&mut bitmap, 0, self.block_len() / SECTOR_LEN);
        }
        Ok(Block { index, at, bitmap })
    }

    /// Writes the bitmap of a block that is complete.
    fn write_bitmap(&self, block: Option<Block>) -> Result<()> {
        block.map_or(Ok(()), |block| self.target.write_at(&block.bitmap, block.at))
    }

    /// Writes the table, padded to whole sectors, and the parent's names.
    fn write_table(&self, table: &[u32]) -> Result<()> {
        let at = (FOOTER_LEN + HEADER_LEN) as u64;
        let mut bytes: Vec<u8> = table.iter().flat_map(|entry| entry.to_be_bytes()).collect();
        let len = usize::try_from(self.plan.locators_at - at).unwrap_or(usize::MAX);
        bytes.resize(len, 0xff);
        if let Some(parent) = &self.parent {
            bytes.extend(parent.locator_data());
        }
        self.target.write_at(&bytes, at)
    }

    /// The header.
    fn header(&self) -> Header {
        let parent = self.parent.as_ref();
        Header {
            table_offset: (FOOTER_LEN + HEADER_LEN) as u64,
            max_table_entries: self.plan.blocks,
            block_size: self.settings.block_len,
            parent_id: parent.map_or(Uuid::nil(), |parent| parent.unique_id),
            parent_time: 0,
            parent_name: parent.map_or([0; PARENT_NAME_LEN], |parent| parent.name),
            locators: parent
                .map_or([Locator::default(); LOCATOR_COUNT], |parent| parent.locators(self.plan.locators_at)),
            checksum_ok: true,
        }
    }
}

impl Plan {
    /// Places everything but blocks.
    fn new(settings: &Settings, parent: Option<&ParentFields>) -> Result<Self> {
        let block_len = u64::from(settings.block_len);
        let blocks = settings.size.div_ceil(block_len);
        let table_end = (FOOTER_LEN + HEADER_LEN) as u64 + blocks * ENTRY_LEN;
        let locators_at = table_end.next_multiple_of(SECTOR_LEN);
        let blocks_at = locators_at + parent.map_or(0, |parent| parent.locator_data().len() as u64);
        let full_len = blocks_at + (blocks + 1) * (bitmap_len(block_len) + block_len).next_multiple_of(PAGE_LEN);
        let align = if full_len < MAX_FILE_LEN { PAGE_LEN } else { SECTOR_LEN };
        let blocks = u32::try_from(blocks).map_err(|_| Error::invalid("the disk has too many blocks"))?;
        Ok(Self { blocks, locators_at, blocks_at, align })
    }
}

impl ImageWriter for BlockWriter {
    fn shape(&self) -> Shape {
        Shape {
            unit: SECTOR_LEN,
            order: Order::Random,
            compression: None,
            pads_last: true,
            stores_plain: true,
            zeros_as_data: self.writes_zeros,
        }
    }

    fn place(&self, piece: &Piece) -> Result<Placed> {
        let nowhere = Placed { host: 0, len: piece.len };
        match (piece.form, &self.parent) {
            (Form::Absent, _) | (Form::Zero, None) => Ok(nowhere),
            // Behind the end of the parent there are zeros already.
            (Form::Zero, Some(parent)) if piece.guest >= parent.size => Ok(nowhere),
            (Form::Zero, Some(parent)) => {
                let len = piece.len.min((parent.size - piece.guest).next_multiple_of(SECTOR_LEN));
                self.place_in_block(&Piece { len, ..*piece })
            }
            (Form::Plain, _) => self.place_in_block(piece),
            (Form::Encoded(_), _) => Err(Error::malformed("a VHD has no compressed units")),
        }
    }

    fn store(&self, _piece: &Piece, host: u64, bytes: &[u8]) -> Result<()> {
        self.target.write_at(bytes, host)
    }

    fn target(&self) -> &Arc<dyn Target> {
        &self.target
    }

    fn set_size(&self, _size: u64) -> Result<()> {
        Err(size_needed())
    }

    fn finish(self: Box<Self>) -> Result<()> {
        let mut state = self.lock();
        self.write_bitmap(state.open.take())?;
        self.write_table(&state.table)?;
        let footer = self.settings.footer().to_bytes();
        self.target.set_len(state.free + FOOTER_LEN as u64)?;
        self.target.write_at(&footer, state.free)?;
        // Without these, a file that was left half-way is not an image.
        self.target.write_at(&[&footer[..], &self.header().to_bytes()].concat(), 0)
    }
}

/// Bytes of the longest file whose every sector can be in the table.
const MAX_FILE_LEN: u64 = (UNUSED_ENTRY as u64) * SECTOR_LEN;
