//! Writing: every byte at its own offset, zeros as holes.

use std::sync::Arc;

use imgfmt_core::{CreateRequest, Error, Form, ImageWriter, Order, Piece, Placed, Result, Shape, Target};

use crate::NAME;

/// Writes a raw image.
pub(crate) struct RawWriter {
    /// Where it goes.
    target: Arc<dyn Target>,
    /// What zero pieces take.
    zeros: Zeros,
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

impl RawWriter {
    /// Makes the target as long as the disk, and takes space as the options say.
    pub(crate) fn new(target: Arc<dyn Target>, request: &CreateRequest<'_>) -> Result<Self> {
        let words = [("off", Preallocation::Off), ("falloc", Preallocation::Falloc), ("full", Preallocation::Full)];
        let preallocation = request.options.word("preallocation", &words, Preallocation::Off)?;
        target.set_len(request.size)?;
        if preallocation == Preallocation::Falloc {
            target.reserve(0..request.size)?;
        }
        let zeros = match (preallocation, request.target_is_zero) {
            (Preallocation::Full, _) => Zeros::Write,
            _ if request.full_allocation => Zeros::Write,
            (Preallocation::Off | Preallocation::Falloc, true) => Zeros::Leave,
            // Clearing would give the space back that was just taken.
            (Preallocation::Falloc, false) => Zeros::Write,
            (Preallocation::Off, false) => Zeros::Clear,
        };
        Ok(Self { target, zeros })
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

    fn set_size(&self, _size: u64) -> Result<()> {
        Err(Error::unsupported("the size of the disk has to be known before").in_format(NAME))
    }

    fn finish(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

/// Guest bytes of a unit: a sector, so that an option for larger runs of zeros has its way.
const UNIT_LEN: u64 = 512;
