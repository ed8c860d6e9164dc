//! Flat extents: bytes as they are, in files beside a descriptor.

use std::sync::Arc;

use imgfmt_core::{CreateRequest, ImageWriter, Order, Piece, Placed, Result, Shape, Target};

use super::descriptor::{self, ExtentText};
use super::joined::Joined;
use super::settings::{Settings, Subformat};
use super::{names, size_is_fixed, write_descriptor};
use crate::layout::byte_of;

/// Writes flat extents.
pub(super) struct FlatWriter {
    /// The descriptor's file.
    descriptor: Arc<dyn Target>,
    /// The descriptor.
    text: String,
    /// The extents, as one.
    disk: Arc<dyn Target>,
    /// Whether zeros are written.
    writes_zeros: bool,
}

impl FlatWriter {
    /// Makes the files, each as long as its extent.
    pub(super) fn new(target: Arc<dyn Target>, request: &CreateRequest<'_>, settings: &Settings) -> Result<Self> {
        let sizes = settings.extents()?;
        let mut lines = Vec::new();
        let mut files = Vec::new();
        for (number, &sectors) in (1..).zip(&sizes) {
            let suffix = match settings.subformat {
                Subformat::SplitFlat => format!("f{number:03}"),
                _ => "flat".to_owned(),
            };
            let (name, path) = names::beside(request.file_name, &suffix)?;
            let file = request.files.create(&path)?;
            file.set_len(byte_of(sectors))?;
            files.push(file);
            let kind = if settings.subformat == Subformat::Vmfs { "VMFS" } else { "FLAT" };
            lines.push(ExtentText { sectors, kind, name });
        }
        let text = descriptor::text(settings, &lines);
        let part_len = byte_of(sizes.first().copied().unwrap_or(settings.sectors));
        let disk = Arc::new(Joined::new(files, part_len, byte_of(settings.sectors)));
        Ok(Self { descriptor: target, text, disk, writes_zeros: settings.full_allocation })
    }
}

impl ImageWriter for FlatWriter {
    fn shape(&self) -> Shape {
        Shape {
            unit: UNIT_LEN,
            order: Order::Random,
            compression: None,
            pads_last: false,
            stores_plain: true,
            zeros_as_data: self.writes_zeros,
        }
    }

    fn place(&self, piece: &Piece) -> Result<Placed> {
        Ok(Placed { host: piece.guest, len: piece.len })
    }

    fn store(&self, _piece: &Piece, host: u64, bytes: &[u8]) -> Result<()> {
        self.disk.write_at(bytes, host)
    }

    fn target(&self) -> &Arc<dyn Target> {
        &self.disk
    }

    fn set_size(&self, _size: u64) -> Result<()> {
        Err(size_is_fixed())
    }

    fn finish(self: Box<Self>) -> Result<()> {
        write_descriptor(self.descriptor.as_ref(), &self.text)
    }
}

/// Guest bytes of a unit: a sector, so that an option for larger runs of zeros has its way.
const UNIT_LEN: u64 = 512;
