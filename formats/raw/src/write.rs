//! Writing: every byte at its own offset, zeros as holes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use imgfmt_core::{CreateRequest, Error, Form, ImageWriter, Order, Piece, Placed, Result, Shape, Target, write_zeros};

use crate::OPTIONS;

/// Starts the image that `request` asks for.
pub(crate) fn create(target: Arc<dyn Target>, request: &CreateRequest<'_>) -> Result<Box<dyn ImageWriter>> {
    if request.compress {
        return Err(Error::invalid("raw images cannot be compressed"));
    }
    if request.backing.is_some() {
        return Err(Error::invalid("raw images cannot have a backing file"));
    }
    if !request.bitmaps.is_empty() {
        return Err(Error::invalid("raw images cannot carry bitmaps"));
    }
    request.options.check(OPTIONS)?;
    let preallocation = Preallocation::of(request)?;
    if !target.in_order() {
        return Ok(Box::new(RawWriter::new(target, request, preallocation)?));
    }
    if preallocation != Preallocation::Off {
        return Err(Error::invalid("preallocation needs a file: a pipe has no space to take"));
    }
    Ok(Box::new(PipeWriter::new(target, request)))
}

/// The values of the option `preallocation`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Preallocation {
    /// Only what is not zero takes space.
    Off,
    /// The file system takes the space, without anything being written.
    Falloc,
    /// Zeros are written.
    Full,
}

impl Preallocation {
    /// What `request` says.
    fn of(request: &CreateRequest<'_>) -> Result<Self> {
        let words = [("off", Self::Off), ("falloc", Self::Falloc), ("full", Self::Full)];
        request.options.word("preallocation", &words, Self::Off)
    }
}

/// What is done for a run of zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Zeros {
    /// Nothing: the target reads as zeros already.
    Leave,
    /// What is there is made zero, and its space given back where that can be.
    Clear,
    /// Zeros are written.
    Write,
}

/// Writes a raw image to a file or device.
struct RawWriter {
    /// Where it goes.
    target: Arc<dyn Target>,
    /// What zero pieces take.
    zeros: Zeros,
    /// Whether the file system takes the space.
    reserve: bool,
    /// Guest bytes, as far as they are known, where they are only known at the end.
    grown: Option<AtomicU64>,
}

impl RawWriter {
    /// Makes the target as long as the disk is known to be, and takes space as the options say.
    fn new(target: Arc<dyn Target>, request: &CreateRequest<'_>, preallocation: Preallocation) -> Result<Self> {
        let fills = preallocation == Preallocation::Full && request.blank;
        let zeros = match (preallocation, request.target_is_zero) {
            // All of the disk is written below.
            _ if fills => Zeros::Leave,
            (Preallocation::Full, _) => Zeros::Write,
            _ if request.full_allocation => Zeros::Write,
            (Preallocation::Off | Preallocation::Falloc, true) => Zeros::Leave,
            // Clearing would give the space back that was just taken.
            (Preallocation::Falloc, false) => Zeros::Write,
            (Preallocation::Off, false) => Zeros::Clear,
        };
        let reserve = preallocation == Preallocation::Falloc;
        let grown = request.size_grows.then(|| AtomicU64::new(request.size));
        let writer = Self { target, zeros, reserve, grown };
        writer.resize(request.size)?;
        if fills {
            write_zeros(writer.target.as_ref(), 0..request.size)?;
        }
        Ok(writer)
    }

    /// Makes the target `size` bytes long.
    fn resize(&self, size: u64) -> Result<()> {
        self.target.set_len(size)?;
        if self.reserve && size > 0 {
            self.target.reserve(0..size)?;
        }
        Ok(())
    }
}

impl ImageWriter for RawWriter {
    fn shape(&self) -> Shape {
        Shape {
            unit: UNIT_LEN,
            order: Order::Random,
            compression: None,
            pads_last: false,
            stores_plain: true,
            zeros_as_data: self.zeros == Zeros::Write,
        }
    }

    fn place(&self, piece: &Piece) -> Result<Placed> {
        if piece.form == Form::Zero && self.zeros == Zeros::Clear {
            self.target.clear(piece.guest..piece.guest + piece.len)?;
        }
        Ok(Placed { host: piece.guest, len: piece.len })
    }

    fn store(&self, _piece: &Piece, host: u64, bytes: &[u8]) -> Result<()> {
        self.target.write_at(bytes, host)
    }

    fn target(&self) -> &Arc<dyn Target> {
        &self.target
    }

    fn set_size(&self, size: u64) -> Result<()> {
        match &self.grown {
            Some(grown) => grown.store(size, Ordering::Relaxed),
            None => return Err(unasked()),
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<()> {
        // The device or file ends with the disk, also where zeros are the last of it.
        match &self.grown {
            Some(grown) => self.resize(grown.load(Ordering::Relaxed)),
            None => Ok(()),
        }
    }
}

/// Writes a raw image into a pipe: front to back, and without a gap.
struct PipeWriter {
    /// Where it goes.
    target: Arc<dyn Target>,
    /// Whether zeros are stored like any other bytes.
    zeros_as_data: bool,
    /// Guest bytes, as far as they are known.
    size: AtomicU64,
    /// Whether the rest of them will be told.
    grows: bool,
    /// Bytes that have gone into the pipe.
    written: Mutex<u64>,
}

impl PipeWriter {
    /// A pipe that nothing has gone into.
    fn new(target: Arc<dyn Target>, request: &CreateRequest<'_>) -> Self {
        Self {
            target,
            zeros_as_data: request.full_allocation,
            size: AtomicU64::new(request.size),
            grows: request.size_grows,
            written: Mutex::new(0),
        }
    }

    /// Sends zeros up to byte `end`, and then `bytes`.
    fn send(&self, end: u64, bytes: &[u8]) -> Result<()> {
        // A piece is placed while those before it are still on their way, so that zeros wait for the next to be stored.
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if *written > end {
            return Err(Error::invalid(format!("bytes for a pipe came out of order: {} after {end}", *written)));
        }
        if *written < end {
            self.target.clear(*written..end)?;
        }
        if !bytes.is_empty() {
            self.target.write_at(bytes, end)?;
        }
        *written = end.saturating_add(bytes.len() as u64);
        Ok(())
    }
}

impl ImageWriter for PipeWriter {
    fn shape(&self) -> Shape {
        Shape {
            unit: UNIT_LEN,
            order: Order::Ordered,
            compression: None,
            pads_last: false,
            stores_plain: true,
            zeros_as_data: self.zeros_as_data,
        }
    }

    fn place(&self, piece: &Piece) -> Result<Placed> {
        Ok(Placed { host: piece.guest, len: piece.len })
    }

    fn store(&self, _piece: &Piece, host: u64, bytes: &[u8]) -> Result<()> {
        self.send(host, bytes)
    }

    fn target(&self) -> &Arc<dyn Target> {
        &self.target
    }

    fn set_size(&self, size: u64) -> Result<()> {
        if !self.grows {
            return Err(unasked());
        }
        self.size.store(size, Ordering::Relaxed);
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<()> {
        self.send(self.size.load(Ordering::Relaxed), &[])
    }
}

/// What is said to those who tell a size that was known before.
fn unasked() -> Error {
    Error::unsupported("the size of the disk was known before")
}

/// Guest bytes of a unit: a sector, so that an option for larger runs of zeros has its way.
pub(crate) const UNIT_LEN: u64 = 512;
