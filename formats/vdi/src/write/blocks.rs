//! Dynamic images: blocks, and the map that says where they are.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use imgfmt_core::{CreateRequest, Entries, Error, Form, ImageWriter, Order, Piece, Placed, Result, Shape, Target};

use super::size_needed;
use crate::header::Header;
use crate::layout::{FREE, SECTOR_LEN};

/// Writes an image in blocks.
pub(super) struct BlockWriter {
    /// Where it goes.
    target: Arc<dyn Target>,
    /// What it is to be, but for the count of blocks.
    header: Header,
    /// Whether what is not written reads as zeros.
    target_is_zero: bool,
    /// Whether zeros are written, too.
    writes_zeros: bool,
    /// What changes from piece to piece.
    state: Mutex<State>,
}

/// What changes from piece to piece.
struct State {
    /// The map.
    entries: Entries,
    /// The next block of the file.
    next: u32,
}

impl BlockWriter {
    /// Starts an image.
    pub(super) fn new(target: Arc<dyn Target>, header: Header, request: &CreateRequest<'_>) -> Result<Self> {
        if !request.target_is_zero {
            target.set_len(0)?;
            // What is left of an older image must not be taken for one that is whole.
            target.clear(0..header.data_offset)?;
        }
        let state = Mutex::new(State { entries: Entries::new(header.blocks, FREE), next: 0 });
        let (target_is_zero, writes_zeros) = (request.target_is_zero, request.full_allocation);
        Ok(Self { target, header, target_is_zero, writes_zeros, state })
    }

    /// The state; a panic elsewhere stops the conversion, so what it left is not used.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The block of the file for block `index` of the disk, which gets one where it has none.
    fn block(&self, index: u64) -> Result<u32> {
        let State { entries, next } = &mut *self.lock();
        let entry = entries.entry(index)?;
        if *entry == FREE {
            let start = self.header.block_at(u64::from(*next));
            if !self.target_is_zero {
                self.target.clear(start..start + self.header.stride())?;
            }
            *entry = *next;
            *next += 1;
        }
        Ok(*entry)
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
        match piece.form {
            Form::Zero | Form::Absent => Ok(Placed { host: 0, len: piece.len }),
            Form::Plain => {
                let (index, within) = (piece.guest / self.header.block_len, piece.guest % self.header.block_len);
                let host = self.header.block_at(u64::from(self.block(index)?)) + within;
                Ok(Placed { host, len: piece.len.min(self.header.block_len - within) })
            }
            Form::Encoded(_) => Err(Error::malformed("a VDI has no compressed units")),
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
        let state = self.lock();
        self.target.set_len(self.header.block_at(u64::from(state.next)))?;
        state.entries.write(self.target.as_ref(), self.header.map_offset, false)?;
        // Without it, a file that was left half-way is not an image.
        let header = Header { allocated: state.next, ..self.header.clone() };
        self.target.write_at(&header.to_bytes(), 0)
    }
}
