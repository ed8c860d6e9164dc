//! Clusters, and the BAT that says where they are.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use imgfmt_core::{CreateRequest, Entries, Error, Form, ImageWriter, Order, Piece, Placed, Result, Shape, Target};

use super::size_needed;
use crate::header::Header;
use crate::layout::{HEADER_LEN, SECTOR_LEN};

/// Writes an image.
pub(super) struct ClusterWriter {
    /// Where it goes.
    target: Arc<dyn Target>,
    /// What it is to be.
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
    /// The BAT.
    entries: Entries,
    /// The entry of the next cluster.
    next: u32,
}

impl ClusterWriter {
    /// Starts an image.
    pub(super) fn new(target: Arc<dyn Target>, header: Header, request: &CreateRequest<'_>) -> Result<Self> {
        if !request.target_is_zero {
            target.set_len(0)?;
            // What is left of an older image must not be taken for one that is whole.
            target.clear(0..header.data_start())?;
        }
        let state =
            Mutex::new(State { entries: Entries::new(header.entries, 0), next: header.data_offset / header.tracks });
        let (target_is_zero, writes_zeros) = (request.target_is_zero, request.full_allocation);
        Ok(Self { target, header, target_is_zero, writes_zeros, state })
    }

    /// The state; a panic elsewhere stops the conversion, so what it left is not used.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The byte of the file at which cluster `index` of the disk is, which gets a place where it has none.
    fn cluster(&self, index: u64) -> Result<u64> {
        let State { entries, next } = &mut *self.lock();
        let entry = entries.entry(index)?;
        if *entry == 0 {
            let start = self.header.host(*next);
            if !self.target_is_zero {
                self.target.clear(start..start + self.header.cluster_len())?;
            }
            *entry = *next;
            *next += 1;
        }
        Ok(self.header.host(*entry))
    }
}

impl ImageWriter for ClusterWriter {
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
                let cluster_len = self.header.cluster_len();
                let (index, within) = (piece.guest / cluster_len, piece.guest % cluster_len);
                Ok(Placed { host: self.cluster(index)? + within, len: piece.len.min(cluster_len - within) })
            }
            Form::Encoded(_) => Err(Error::malformed("a Parallels image has no compressed units")),
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
        // QEMU takes a last cluster that is not whole for one that is lost.
        self.target.set_len(self.header.host(state.next))?;
        // A file that was made longer is zero where nothing was written.
        state.entries.write(self.target.as_ref(), HEADER_LEN as u64, self.target_is_zero)?;
        // Without it, a file that was left half-way is not an image.
        self.target.write_at(&self.header.to_bytes(), 0)
    }
}
