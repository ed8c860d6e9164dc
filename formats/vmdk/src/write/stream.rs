//! `streamOptimized`: written front to back, nothing twice, so that it can go into a pipe.
//!
//! ```text
//! header │ descriptor │ marker, grain │ … │ marker, grain table │ marker, grain │ … │ marker, grain table │
//! marker, grain directory │ marker, footer │ end of stream
//! ```
//!
//! A table follows the last of its grains; tables without a grain are left out, and the directory has 0 for them. The
//! header leaves the place of the directory to the footer.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use imgfmt_core::{CreateRequest, Error, Form, ImageWriter, Order, Piece, Placed, Result, Shape, Target};

use super::header::{GTES_PER_GT, NewHeader};
use super::plan::{MAX_TABLES, TABLE_SECTORS, sector_entry, to_bytes};
use super::settings::Settings;
use super::sparse::{embedded_extent, embedded_sectors};
use super::{descriptor, size_is_fixed, stored};
use crate::layout::{
    Flags, GD_AT_END, GRAIN_MARKER_LEN, MARKER_END_OF_STREAM, MARKER_FOOTER, MARKER_GRAIN_DIRECTORY,
    MARKER_GRAIN_TABLE, MARKER_SIZE_AT, MARKER_TYPE_AT, SECTOR_LEN, byte_of,
};

/// Writes a stream.
pub(super) struct StreamWriter {
    /// Where it goes.
    target: Arc<dyn Target>,
    /// What the image is to be.
    settings: Settings,
    /// The header, but for the place of the directory.
    header: NewHeader,
    /// What changes from piece to piece.
    state: Mutex<State>,
}

/// What changes from piece to piece.
struct State {
    /// The sector after all that has its place.
    next: u64,
    /// The sector of each table, or 0.
    directory: Vec<u32>,
    /// The table of the last piece, and its number.
    open: Option<(u64, Vec<u32>)>,
    /// What has its place and is not written yet, but for grains: byte and bytes.
    waiting: VecDeque<(u64, Vec<u8>)>,
}

impl StreamWriter {
    /// Starts a stream.
    pub(super) fn new(target: Arc<dyn Target>, request: &CreateRequest<'_>, settings: Settings) -> Result<Self> {
        let text = descriptor::text(&settings, &[embedded_extent(request, &settings)]);
        let descriptor_size = embedded_sectors(&text);
        let zeroed = if settings.zeroed_grain { Flags::ZEROED_GRAINS.0 } else { 0 };
        let header = NewHeader {
            version: VERSION,
            flags: Flags::COMPRESSED.0 | Flags::MARKERS.0 | zeroed,
            capacity: settings.sectors,
            grain_size: settings.grain,
            descriptor_offset: 1,
            descriptor_size,
            rgd_offset: 0,
            gd_offset: GD_AT_END,
            overhead: (1 + descriptor_size).next_multiple_of(OVERHEAD_ALIGN),
        };
        let tables = settings.sectors.div_ceil(settings.grain).div_ceil(GTES_PER_GT);
        let tables =
            Some(tables).filter(|&tables| tables <= MAX_TABLES).and_then(|tables| usize::try_from(tables).ok());
        let tables = tables.ok_or_else(|| Error::invalid("a disk of this size needs a larger grain_size"))?;
        let mut front = header.to_bytes().to_vec();
        front.extend_from_slice(text.as_bytes());
        front.resize(usize::try_from(byte_of(header.overhead)).unwrap_or(front.len()), 0);
        let state = State {
            next: header.overhead,
            directory: vec![0; tables],
            open: None,
            waiting: VecDeque::from([(0, front)]),
        };
        Ok(Self { target, settings, header, state: Mutex::new(state) })
    }

    /// The state; a panic elsewhere stops the conversion, so what it left is not used.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what comes before byte `end` and is no grain.
    fn write_waiting(&self, end: u64) -> Result<()> {
        loop {
            let mut state = self.lock();
            let Some((host, bytes)) = state.waiting.pop_front_if(|(host, _)| *host < end) else {
                return Ok(());
            };
            drop(state);
            self.target.write_at(&bytes, host)?;
        }
    }

    /// The number of the grain at guest byte `guest`.
    fn grain_at(&self, guest: u64) -> u64 {
        guest / self.settings.grain_len()
    }

    /// Gives a grain whose stream has `len` bytes its place.
    fn place_grain(&self, piece: &Piece, len: u64) -> Result<Placed> {
        let mut state = self.lock();
        let sectors = (len + GRAIN_MARKER_LEN as u64).div_ceil(SECTOR_LEN);
        let slot = state.slot(self.grain_at(piece.guest))?;
        let host = state.next;
        sector_entry(host + sectors)?;
        state.set(slot, sector_entry(host)?);
        state.next += sectors;
        Ok(Placed { host: byte_of(host), len: piece.len.min(self.settings.grain_len()) })
    }
}

impl ImageWriter for StreamWriter {
    fn shape(&self) -> Shape {
        Shape {
            unit: self.settings.grain_len(),
            order: Order::Ordered,
            compression: Some(self.settings.compression),
            pads_last: true,
            stores_plain: false,
            zeros_as_data: self.settings.stores_zeros(),
        }
    }

    fn place(&self, piece: &Piece) -> Result<Placed> {
        match piece.form {
            Form::Encoded(len) => self.place_grain(piece, u64::from(len)),
            // All grains of a stream are zlib streams, those too that do not shrink.
            Form::Plain => {
                let grain_len = usize::try_from(self.settings.grain_len()).unwrap_or(usize::MAX);
                self.place_grain(piece, stored::stream_len(grain_len) as u64)
            }
            Form::Zero | Form::Absent => Ok(Placed { host: 0, len: piece.len }),
        }
    }

    fn store(&self, piece: &Piece, host: u64, bytes: &[u8]) -> Result<()> {
        self.write_waiting(host)?;
        let mut frame = Vec::with_capacity(bytes.len() + 2 * SECTOR_LEN as usize);
        frame.extend_from_slice(&(piece.guest / SECTOR_LEN).to_le_bytes());
        frame.extend_from_slice(&[0; GRAIN_MARKER_LEN - MARKER_SIZE_AT]);
        match piece.form {
            Form::Plain => stored::stream(bytes, &mut frame),
            _ => frame.extend_from_slice(bytes),
        }
        let len = u32::try_from(frame.len() - GRAIN_MARKER_LEN).unwrap_or(u32::MAX);
        frame[MARKER_SIZE_AT..GRAIN_MARKER_LEN].copy_from_slice(&len.to_le_bytes());
        frame.resize(frame.len().next_multiple_of(SECTOR_LEN as usize), 0);
        self.target.write_at(&frame, host)
    }

    fn target(&self) -> &Arc<dyn Target> {
        &self.target
    }

    fn set_size(&self, _size: u64) -> Result<()> {
        Err(size_is_fixed())
    }

    fn finish(self: Box<Self>) -> Result<()> {
        let end = self.lock().end(self.header)?;
        self.write_waiting(u64::MAX)?;
        if self.target.in_order() { Ok(()) } else { self.target.set_len(byte_of(end)) }
    }
}

impl State {
    /// The place of grain number `grain` in its table, which becomes the one that entries go to. Pieces come in order,
    /// so the table before is complete.
    fn slot(&mut self, grain: u64) -> Result<u64> {
        let index = grain / GTES_PER_GT;
        if self.open.as_ref().is_none_or(|(open, _)| *open != index) {
            self.close_table()?;
            self.open = Some((index, vec![0; usize::try_from(GTES_PER_GT).unwrap_or(0)]));
        }
        Ok(grain % GTES_PER_GT)
    }

    /// Sets an entry of the open table.
    fn set(&mut self, slot: u64, entry: u32) {
        let entries = self.open.iter_mut().flat_map(|(_, entries)| entries.iter_mut());
        entries.skip(usize::try_from(slot).unwrap_or(usize::MAX)).take(1).for_each(|at| *at = entry);
    }

    /// Gives the open table its place, if there is one.
    fn close_table(&mut self) -> Result<()> {
        let Some((index, entries)) = self.open.take() else { return Ok(()) };
        let sector = self.append(MARKER_GRAIN_TABLE, TABLE_SECTORS, &to_bytes(&entries))?;
        let slot = usize::try_from(index).ok().and_then(|index| self.directory.get_mut(index));
        *slot.ok_or_else(|| Error::out_of_bounds("a piece lies beyond the end of the disk"))? = sector;
        Ok(())
    }

    /// Gives `sectors` of metadata their place behind a marker; returns the first sector.
    fn append(&mut self, kind: u32, sectors: u64, bytes: &[u8]) -> Result<u32> {
        let mut block = vec![0; SECTOR_LEN as usize];
        block[..MARKER_SIZE_AT].copy_from_slice(&sectors.to_le_bytes());
        block[MARKER_TYPE_AT..MARKER_TYPE_AT + 4].copy_from_slice(&kind.to_le_bytes());
        block.extend_from_slice(bytes);
        block.resize(usize::try_from(byte_of(1 + sectors)).unwrap_or(block.len()), 0);
        self.waiting.push_back((byte_of(self.next), block));
        let first = sector_entry(self.next + 1)?;
        self.next += 1 + sectors;
        Ok(first)
    }

    /// Gives what ends a stream its place; returns the sector after it.
    fn end(&mut self, header: NewHeader) -> Result<u64> {
        self.close_table()?;
        let directory = to_bytes(&std::mem::take(&mut self.directory));
        let sectors = (directory.len() as u64).div_ceil(SECTOR_LEN);
        let gd_offset = u64::from(self.append(MARKER_GRAIN_DIRECTORY, sectors, &directory)?);
        self.append(MARKER_FOOTER, 1, &NewHeader { gd_offset, ..header }.to_bytes())?;
        self.append(MARKER_END_OF_STREAM, 0, &[])?;
        Ok(self.next)
    }
}

/// `version` of a stream, as VMware writes it.
const VERSION: u32 = 3;
/// Sectors that the first grain is aligned to, as VMware has it.
const OVERHEAD_ALIGN: u64 = 128;
