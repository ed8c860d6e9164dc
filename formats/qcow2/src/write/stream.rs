//! Writing in order, as into a pipe: everything that says where data lies comes before the data.
//!
//! ```text
//! header │ L1 table │ bitmaps │ refcount table │ refcount blocks │ L2 tables │ data
//! ```
//!
//! That can be known before the first cluster only where clusters are not compressed, and only with the map of what will
//! be written: a cluster that the map does not know to be zero has its place, and zeros that are found in it are written.

use std::sync::{Arc, Mutex, PoisonError};

use imgfmt_core::convert::is_zero;
use imgfmt_core::{CreateRequest, Error, Form, ImageWriter, Order, Piece, Placed, Result, Shape, Target};

use super::bitmaps;
use super::front::{Front, Layout};
use super::plan::Runs;
use super::settings::{Preallocation, Settings};

/// Writes a new image in order.
pub(super) struct StreamWriter {
    /// Where it goes.
    target: Arc<dyn Target>,
    /// What it is to be.
    settings: Settings,
    /// Which clusters have a place.
    runs: Runs,
    /// Host byte of the first of them.
    data_host: u64,
    /// Host byte up to which the file is written.
    written: Mutex<u64>,
}

impl StreamWriter {
    /// Starts an image: writes all of it but the data.
    ///
    /// # Errors
    ///
    /// [`Unsupported`](imgfmt_core::ErrorKind::Unsupported) for what cannot be written in one pass, with the reason.
    pub(super) fn new(target: Arc<dyn Target>, settings: Settings, request: &CreateRequest<'_>) -> Result<Self> {
        refuse(&settings, request)?;
        let clusters = settings.size.div_ceil(settings.cluster_len());
        let runs = match (settings.preallocation, request.plan) {
            (Preallocation::Off, Some(image)) => Runs::of(image, settings.size, settings.cluster_bits)?,
            (Preallocation::Off, None) => return Err(cannot("what will be written is not known before")),
            _ => Runs::all(clusters),
        };
        let mut front = Front::new(&settings)?;
        let bitmaps = bitmaps::write(request.bitmaps, settings.size, &settings, &mut front)?;
        let layout = Layout::new(&settings, &runs, &front)?;
        layout.write(target.as_ref(), &settings, &runs, front, bitmaps)?;
        Ok(Self { target, settings, runs, data_host: layout.data_host, written: Mutex::new(layout.data_host) })
    }

    /// Host byte behind the last cluster.
    fn end(&self) -> u64 {
        self.data_host + (self.runs.total() << self.settings.cluster_bits)
    }

    /// Makes what lies before host byte `end` and is not written yet zero.
    fn catch_up(&self, written: &mut u64, end: u64) -> Result<()> {
        if *written < end {
            self.target.clear(*written..end)?;
            *written = end;
        }
        Ok(())
    }
}

impl ImageWriter for StreamWriter {
    fn shape(&self) -> Shape {
        Shape {
            unit: self.settings.cluster_len(),
            order: Order::Ordered,
            compression: None,
            pads_last: true,
            stores_plain: true,
            zeros_as_data: false,
        }
    }

    fn place(&self, piece: &Piece) -> Result<Placed> {
        let bits = self.settings.cluster_bits;
        let nowhere = Placed { host: NOWHERE, len: piece.len };
        match piece.form {
            // Zeros in a cluster that has a place are written with what comes next.
            Form::Zero | Form::Absent => Ok(nowhere),
            Form::Encoded(_) => Err(Error::unsupported("nothing is compressed here")),
            Form::Plain => {
                let (before, count) = self.runs.at(piece.guest >> bits, piece.len.div_ceil(1 << bits));
                let len = piece.len.min(count << bits);
                // What the map knows to be zero may share a longer unit with other bytes.
                Ok(Placed { host: before.map_or(NOWHERE, |before| self.data_host + (before << bits)), len })
            }
        }
    }

    fn store(&self, _piece: &Piece, host: u64, bytes: &[u8]) -> Result<()> {
        if host == NOWHERE {
            let changed = || Error::malformed("bytes that were zero when the image was planned are so no longer");
            return if is_zero(bytes) { Ok(()) } else { Err(changed()) };
        }
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        self.catch_up(&mut written, host)?;
        self.target.write_at(bytes, host)?;
        *written = host + bytes.len() as u64;
        Ok(())
    }

    fn target(&self) -> &Arc<dyn Target> {
        &self.target
    }

    fn set_size(&self, _size: u64) -> Result<()> {
        Err(cannot("the size of the disk has to be known before"))
    }

    fn finish(self: Box<Self>) -> Result<()> {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        self.catch_up(&mut written, self.end())
    }
}

/// Refuses what cannot be known before it is written.
fn refuse(settings: &Settings, request: &CreateRequest<'_>) -> Result<()> {
    let reasons = [
        (settings.compression.is_some(), "the places of compressed clusters are not known before"),
        (settings.data_file.is_some(), "its data file would be a second one"),
        (settings.backing.is_some(), "what the backing file stands for is not known before"),
        (settings.encryption.is_some(), "zeros that are found within a cluster would have to be encrypted"),
        (request.size_grows, "the size of the disk has to be known before"),
        (settings.preallocation == Preallocation::Falloc, "no space can be taken there before it is written"),
    ];
    reasons.iter().find(|(is, _)| *is).map_or(Ok(()), |(_, reason)| Err(cannot(reason)))
}

/// An error that says why an image cannot be written in order.
pub(super) fn cannot(reason: &str) -> Error {
    Error::unsupported(format!("such an image cannot be written front to back, as into a pipe: {reason}"))
}

/// The place of bytes that are not stored: no place in a file.
const NOWHERE: u64 = u64::MAX;
