//! Fixed disks: every byte at its own offset, and the footer behind.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use imgfmt_core::{CreateRequest, Error, Form, ImageWriter, Order, Piece, Placed, Result, Shape, Target};

use super::settings::Settings;
use crate::layout::{FOOTER_LEN, SECTOR_LEN};

/// Writes a fixed disk.
pub(super) struct FixedWriter {
    /// Where it goes.
    target: Arc<dyn Target>,
    /// What it is to be, but for a size that comes later.
    settings: Settings,
    /// Guest bytes that pieces come for, as far as they are known; the disk may be longer by what rounds it up.
    given: AtomicU64,
    /// Whether zeros are written, too.
    writes_zeros: bool,
    /// Whether what is not written reads as zeros.
    target_is_zero: bool,
    /// Up to where a target that is written in order has been written.
    written: Mutex<u64>,
}

impl FixedWriter {
    /// Starts a disk.
    pub(super) fn new(target: Arc<dyn Target>, settings: Settings, request: &CreateRequest<'_>) -> Result<Self> {
        if !target.in_order() {
            check_device(target.as_ref(), settings.size + FOOTER_LEN as u64)?;
            target.set_len(settings.size)?;
        }
        Ok(Self {
            target,
            settings,
            given: AtomicU64::new(request.size),
            writes_zeros: request.full_allocation,
            target_is_zero: request.target_is_zero,
            written: Mutex::new(0),
        })
    }

    /// Up to where it has been written; a panic elsewhere stops the conversion, so what it left is not used.
    fn written(&self) -> MutexGuard<'_, u64> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
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
        if piece.form == Form::Zero && !self.target_is_zero && !self.target.in_order() {
            self.target.clear(piece.guest..piece.guest + piece.len)?;
        }
        Ok(Placed { host: piece.guest, len: piece.len })
    }

    fn store(&self, _piece: &Piece, host: u64, bytes: &[u8]) -> Result<()> {
        if self.target.in_order() {
            self.fill(host)?;
            *self.written() = host + bytes.len() as u64;
        }
        self.target.write_at(bytes, host)
    }

    fn target(&self) -> &Arc<dyn Target> {
        &self.target
    }

    fn set_size(&self, size: u64) -> Result<()> {
        self.given.store(size, Ordering::Relaxed);
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<()> {
        let given = self.given.load(Ordering::Relaxed);
        let settings = self.settings.with_size(given)?;
        let size = settings.size;
        if self.target.in_order() {
            self.fill(size)?;
        } else {
            if !self.target_is_zero {
                self.target.clear(given..size)?;
            }
            self.target.set_len(size + FOOTER_LEN as u64)?;
        }
        self.target.write_at(&settings.footer().to_bytes(), size)
    }
}

/// Checks that a device has so many bytes: nobody finds the footer but at its end.
fn check_device(target: &dyn Target, len: u64) -> Result<()> {
    match target.kept_len() {
        Some(device) if device != len => {
            let what = format!(
                "the footer of a fixed disk has to be the end of the device: that has {device} bytes, not {len}"
            );
            Err(Error::unsupported(what))
        }
        _ => Ok(()),
    }
}
