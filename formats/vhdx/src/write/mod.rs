//! Writing a new image in one pass.
//!
//! Headers, log, metadata and block allocation table come first, then the blocks in guest order. A block has its place
//! from its first piece that is not idle; what is idle within it stays a hole of the file. The sector bitmap of a chunk
//! lies behind the first of its blocks that is partly the parent's. The headers are written at the very end, so that a
//! file which was left half-way is not an image.

mod block;
pub(crate) mod locator;
mod place;
mod settings;
mod structures;
mod table;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use imgfmt_core::{CreateRequest, Error, ImageWriter, Order, Piece, Placed, Result, Shape, Target};

use crate::layout::{HEADERS_AT, REGION_TABLES_AT};
use place::State;
pub(crate) use settings::OPTIONS;
use settings::{Places, Settings};

/// Writes a new image.
pub(crate) struct VhdxWriter {
    /// Where it goes.
    target: Arc<dyn Target>,
    /// What it is to be.
    settings: Settings,
    /// Where its parts are.
    places: Places,
    /// What changes from piece to piece.
    state: Mutex<State>,
}

impl VhdxWriter {
    /// Starts an image.
    ///
    /// # Errors
    ///
    /// As [`Format::create`](imgfmt_core::Format::create).
    pub(crate) fn new(target: Arc<dyn Target>, request: &CreateRequest<'_>) -> Result<Self> {
        let settings = Settings::new(request)?;
        if target.in_order() {
            return Err(Error::unsupported(
                "a VHDX image cannot be written front to back: its table comes first, and is known last",
            ));
        }
        let places = settings.places()?;
        let clears = !request.target_is_zero;
        if clears {
            target.set_len(0)?;
            target.clear(0..places.data)?;
        }
        let state = State::new(Arc::clone(&target), &settings, &places, clears);
        Ok(Self { target, settings, places, state: Mutex::new(state) })
    }

    /// The state; a panic elsewhere stops the conversion, so what it left is not used.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ImageWriter for VhdxWriter {
    fn shape(&self) -> Shape {
        Shape {
            unit: UNIT,
            order: Order::Random,
            compression: None,
            pads_last: false,
            stores_plain: true,
            zeros_as_data: self.settings.zeros_as_data,
        }
    }

    fn place(&self, piece: &Piece) -> Result<Placed> {
        self.lock().place(piece)
    }

    fn store(&self, _piece: &Piece, host: u64, bytes: &[u8]) -> Result<()> {
        self.target.write_at(bytes, host)
    }

    fn target(&self) -> &Arc<dyn Target> {
        &self.target
    }

    fn set_size(&self, _size: u64) -> Result<()> {
        Err(Error::unsupported("the size of the disk has to be known before"))
    }

    fn finish(self: Box<Self>) -> Result<()> {
        let len = self.lock().finish()?;
        self.target.set_len(len)?;
        self.target.write_at(&structures::metadata(&self.settings), self.places.metadata)?;
        let table = structures::region_table(&self.places);
        REGION_TABLES_AT.iter().try_for_each(|&at| self.target.write_at(&table, at))?;
        for (at, number) in HEADERS_AT.into_iter().zip(1..) {
            self.target.write_at(&structures::header(&self.settings, &self.places, number), at)?;
        }
        self.target.write_at(&structures::file_type(), 0)
    }
}

/// Guest bytes that are placed as one, and the grain at which zeros are found and the parent shows: small, since blocks
/// are large.
const UNIT: u64 = 64 << 10;
