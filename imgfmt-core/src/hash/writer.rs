//! The engine's target that keeps nothing but hashes.

use std::sync::{Arc, Mutex, PoisonError};

use super::{HashAlgorithm, HashValue, Hasher};
use crate::target::{MemoryTarget, Target};
use crate::writer::{Form, ImageWriter, Order, Piece, Placed, Shape};
use crate::{Error, Result};

/// Hashes what it is given, in guest order.
pub(super) struct HashWriter {
    /// How far it is.
    state: Mutex<State>,
    /// Guest bytes of the disk.
    size: u64,
    /// Where the hashes go.
    values: Values,
    /// Nothing is written there.
    target: Arc<dyn Target>,
}

/// How far hashing is.
struct State {
    /// The hashes so far.
    hasher: Hasher,
    /// Guest bytes that they are of.
    done: u64,
}

/// The hashes, once there are any.
#[derive(Clone, Default)]
pub(super) struct Values(Arc<Mutex<Option<Vec<HashValue>>>>);

impl Values {
    /// The hashes.
    pub(super) fn take(&self) -> Result<Vec<HashValue>> {
        let values = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        values.ok_or_else(|| Error::malformed("a hash was not finished"))
    }
}

impl HashWriter {
    /// Hashes of a disk of `size` bytes, of which nothing is known yet.
    pub(super) fn new(algorithms: &[HashAlgorithm], size: u64) -> Self {
        let state = State { hasher: Hasher::new(algorithms), done: 0 };
        Self { state: Mutex::new(state), size, values: Values::default(), target: Arc::new(MemoryTarget::new()) }
    }

    /// Where the hashes will be.
    pub(super) fn values(&self) -> Values {
        self.values.clone()
    }
}

impl State {
    /// Adds zeros up to guest byte `end`.
    fn zeros_until(&mut self, end: u64) {
        self.hasher.zeros(end.saturating_sub(self.done));
        self.done = self.done.max(end);
    }
}

impl ImageWriter for HashWriter {
    fn shape(&self) -> Shape {
        Shape {
            unit: UNIT_LEN,
            order: Order::Ordered,
            compression: None,
            pads_last: false,
            stores_plain: false,
            zeros_as_data: false,
        }
    }

    fn place(&self, piece: &Piece) -> Result<Placed> {
        Ok(Placed { host: piece.guest, len: piece.len })
    }

    /// What lies between two pieces is zero.
    fn store(&self, piece: &Piece, _host: u64, bytes: &[u8]) -> Result<()> {
        debug_assert_eq!(piece.form, Form::Plain, "nothing is compressed for a hash");
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.zeros_until(piece.guest);
        state.hasher.update(bytes);
        state.done += bytes.len() as u64;
        Ok(())
    }

    fn target(&self) -> &Arc<dyn Target> {
        &self.target
    }

    fn set_size(&self, _size: u64) -> Result<()> {
        Err(Error::unsupported("a disk is hashed whose size is known"))
    }

    fn finish(self: Box<Self>) -> Result<()> {
        let mut state = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        state.zeros_until(self.size);
        *self.values.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(state.hasher.finish());
        Ok(())
    }
}

/// Guest bytes that are placed as one.
const UNIT_LEN: u64 = 64 << 10;
