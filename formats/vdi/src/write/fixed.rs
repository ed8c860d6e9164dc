//! Fixed images: every block at its own place.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use imgfmt_core::{CreateRequest, Form, ImageWriter, Order, Piece, Placed, Result, Shape, Target};

use super::size_needed;
use crate::entries;
use crate::header::Header;
use crate::layout::SECTOR_LEN;

/// Writes a fixed image.
pub(super) struct FixedWriter {
    /// Where it goes.
    target: Arc<dyn Target>,
    /// What it is to be.
    header: Header,
    /// Guest bytes that pieces come for; the disk may be longer by what makes sectors of them.
    given: u64,
    /// Whether zeros are written, too.
    writes_zeros: bool,
    /// Whether what is not written reads as zeros.
    target_is_zero: bool,
    /// Up to where a target that is written in order has been written.
    written: Mutex<u64>,
}

impl FixedWriter {
    /// Starts an image.
    pub(super) fn new(target: Arc<dyn Target>, header: Header, request: &CreateRequest<'_>) -> Result<Self> {
        let header = Header { allocated: header.blocks, ..header };
        let (writes_zeros, target_is_zero) = (request.full_allocation, request.target_is_zero);
        let writer = Self { target, header, given: request.size, writes_zeros, target_is_zero, written: Mutex::new(0) };
        if writer.target.in_order() {
            writer.target.write_at(&writer.header.to_bytes(), 0)?;
            *writer.written() = writer.header.to_bytes().len() as u64;
            writer.write_map()?;
        } else {
            writer.target.set_len(writer.end())?;
            if !writer.target_is_zero {
                writer.target.clear(0..writer.header.data_offset)?;
            }
        }
        Ok(writer)
    }

    /// Where the last block ends.
    fn end(&self) -> u64 {
        self.header.block_at(u64::from(self.header.blocks))
    }

    /// Up to where it has been written; a panic elsewhere stops the conversion, so what it left is not used.
    fn written(&self) -> MutexGuard<'_, u64> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes `bytes` at byte `at`; a target that is written in order gets zeros up to there.
    fn write(&self, bytes: &[u8], at: u64) -> Result<()> {
        if self.target.in_order() {
            self.fill(at)?;
            *self.written() = at + bytes.len() as u64;
        }
        self.target.write_at(bytes, at)
    }

    /// Fills a target that is written in order with zeros up to `end`.
    fn fill(&self, end: u64) -> Result<()> {
        let mut written = self.written();
        if *written < end {
            self.target.clear(*written..end)?;
            *written = end;
        }
        Ok(())
    }

    /// Writes the map.
    fn write_map(&self) -> Result<()> {
        let mut at = self.header.map_offset;
        for part in entries::parts(0..u64::from(self.header.blocks)) {
            let numbers = part.map(|number| u32::try_from(number).unwrap_or(u32::MAX));
            let bytes: Vec<u8> = numbers.flat_map(u32::to_le_bytes).collect();
            self.write(&bytes, at)?;
            at += bytes.len() as u64;
        }
        Ok(())
    }
}

impl ImageWriter for FixedWriter {
    fn shape(&self) -> Shape {
        Shape {
            unit: SECTOR_LEN,
            order: if self.target.in_order() { Order::Ordered } else { Order::Random },
            compression: None,
            pads_last: false,
            stores_plain: true,
            zeros_as_data: self.writes_zeros,
        }
    }

    fn place(&self, piece: &Piece) -> Result<Placed> {
        let host = self.header.data_offset + piece.guest;
        if piece.form == Form::Zero && !self.target_is_zero && !self.target.in_order() {
            self.target.clear(host..host + piece.len)?;
        }
        Ok(Placed { host, len: piece.len })
    }

    fn store(&self, _piece: &Piece, host: u64, bytes: &[u8]) -> Result<()> {
        self.write(bytes, host)
    }

    fn target(&self) -> &Arc<dyn Target> {
        &self.target
    }

    fn set_size(&self, _size: u64) -> Result<()> {
        Err(size_needed())
    }

    fn finish(self: Box<Self>) -> Result<()> {
        if self.target.in_order() {
            return self.fill(self.end());
        }
        if !self.target_is_zero {
            // What was given may be less than whole sectors, and whole sectors less than whole blocks.
            self.target.clear(self.header.data_offset + self.given..self.end())?;
        }
        self.write_map()?;
        // Without it, a file that was left half-way is not an image.
        self.target.write_at(&self.header.to_bytes(), 0)
    }
}
