//! Sparse extents whose tables come first: one within its file, or several beside a descriptor.
//!
//! Every table has its place from the start, as QEMU and VMware have it; those that stay empty are holes. Pieces come
//! in guest order, so one table is in memory, and grains lie one behind the other.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use imgfmt_core::{CreateRequest, Error, Form, ImageWriter, Order, Piece, Placed, Result, Shape, Target};

use super::descriptor::{self, ExtentText};
use super::plan::{Grains, Plan};
use super::settings::{Settings, Subformat};
use super::{names, size_is_fixed, write_descriptor};
use crate::layout::{SECTOR_LEN, byte_of};

/// Writes sparse extents.
pub(super) struct SparseWriter {
    /// The file that is named: the extent, or the descriptor.
    target: Arc<dyn Target>,
    /// What the image is to be.
    settings: Settings,
    /// The descriptor.
    text: String,
    /// The extents, in the order of their guest bytes.
    extents: Vec<NewExtent>,
    /// Guest bytes of every extent but the last.
    extent_len: u64,
}

/// A sparse extent in the making.
struct NewExtent {
    /// Its file.
    target: Arc<dyn Target>,
    /// Where things lie in it.
    plan: Plan,
    /// Its grains so far.
    grains: Mutex<Grains>,
}

impl NewExtent {
    /// An extent in `target`.
    fn new(target: Arc<dyn Target>, plan: Plan) -> Self {
        Self { target, plan, grains: Mutex::new(Grains::new(&plan)) }
    }

    /// The grains; a panic elsewhere stops the conversion, so what it left is not used.
    fn lock(&self) -> MutexGuard<'_, Grains> {
        self.grains.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes all but the header.
    fn finish(&self) -> Result<()> {
        let mut grains = self.lock();
        grains.close_table(&self.plan, self.target.as_ref())?;
        self.plan.write_directories(self.target.as_ref())?;
        self.target.set_len(grains.file_len())
    }

    /// Writes the header, which makes the file an extent.
    fn write_header(&self, settings: &Settings) -> Result<()> {
        self.target.write_at(&self.plan.header(settings).to_bytes(), 0)
    }
}

impl SparseWriter {
    /// Starts an image.
    pub(super) fn new(target: Arc<dyn Target>, request: &CreateRequest<'_>, settings: Settings) -> Result<Self> {
        if settings.subformat == Subformat::SplitSparse {
            return Self::split(target, request, settings);
        }
        let text = descriptor::text(&settings, &[embedded_extent(request, &settings)]);
        let plan = Plan::new(settings.sectors, settings.grain, embedded_sectors(&text))?;
        if !request.target_is_zero {
            target.set_len(0)?;
            target.clear(0..byte_of(plan.overhead))?;
        }
        let extents = vec![NewExtent::new(Arc::clone(&target), plan)];
        Ok(Self { target, text, extents, extent_len: byte_of(settings.sectors), settings })
    }

    /// Starts an image of several files.
    fn split(target: Arc<dyn Target>, request: &CreateRequest<'_>, settings: Settings) -> Result<Self> {
        let sizes = settings.extents()?;
        let mut lines = Vec::new();
        let mut extents = Vec::new();
        for (number, &sectors) in (1..).zip(&sizes) {
            let (name, path) = names::beside(request.file_name, &format!("s{number:03}"))?;
            let plan = Plan::new(sectors, settings.grain, 0)?;
            extents.push(NewExtent::new(request.files.create(&path)?, plan));
            lines.push(ExtentText { sectors, kind: "SPARSE", name });
        }
        let text = descriptor::text(&settings, &lines);
        let extent_len = byte_of(sizes.first().copied().unwrap_or(settings.sectors));
        Ok(Self { target, text, extents, extent_len, settings })
    }

    /// The extent that guest byte `guest` is in, and the byte at which it starts.
    fn extent_at(&self, guest: u64) -> Result<(&NewExtent, u64)> {
        let number = guest / self.extent_len;
        let extent = usize::try_from(number).ok().and_then(|number| self.extents.get(number));
        let extent = extent.ok_or_else(|| Error::out_of_bounds("a piece lies beyond the end of the disk"))?;
        Ok((extent, number * self.extent_len))
    }

    /// Gives grains their place, those of one table at a time.
    fn place_grains(&self, piece: &Piece, zero: bool) -> Result<Placed> {
        let (extent, start) = self.extent_at(piece.guest)?;
        let within = piece.len.min((start + byte_of(extent.plan.sectors)).saturating_sub(piece.guest)).max(1);
        let grain_len = self.settings.grain_len();
        let (first, count) = ((piece.guest - start) / grain_len, within.div_ceil(grain_len));
        let (count, host) = extent.lock().place(&extent.plan, extent.target.as_ref(), first, count, zero)?;
        Ok(Placed { host, len: piece.len.min(count * grain_len) })
    }
}

impl ImageWriter for SparseWriter {
    fn shape(&self) -> Shape {
        Shape {
            unit: self.settings.grain_len(),
            order: Order::Random,
            compression: None,
            pads_last: true,
            stores_plain: self.settings.subformat == Subformat::MonolithicSparse,
            zeros_as_data: self.settings.stores_zeros(),
        }
    }

    fn place(&self, piece: &Piece) -> Result<Placed> {
        match piece.form {
            Form::Plain => self.place_grains(piece, false),
            Form::Zero if self.settings.parent.is_some() => self.place_grains(piece, true),
            Form::Zero | Form::Absent => Ok(Placed { host: 0, len: piece.len }),
            Form::Encoded(_) => Err(Error::invalid("grains are not compressed here")),
        }
    }

    fn store(&self, piece: &Piece, host: u64, bytes: &[u8]) -> Result<()> {
        self.extent_at(piece.guest)?.0.target.write_at(bytes, host)
    }

    fn target(&self) -> &Arc<dyn Target> {
        &self.target
    }

    fn set_size(&self, _size: u64) -> Result<()> {
        Err(size_is_fixed())
    }

    fn finish(self: Box<Self>) -> Result<()> {
        self.extents.iter().try_for_each(NewExtent::finish)?;
        if self.settings.subformat == Subformat::MonolithicSparse {
            self.target.write_at(self.text.as_bytes(), SECTOR_LEN)?;
            return self.extents.iter().try_for_each(|extent| extent.write_header(&self.settings));
        }
        self.extents.iter().try_for_each(|extent| extent.write_header(&self.settings))?;
        write_descriptor(self.target.as_ref(), &self.text)
    }
}

/// The line of an extent that its own file is. Readers do not follow the name, so one that cannot stand in a line is
/// no obstacle.
pub(super) fn embedded_extent(request: &CreateRequest<'_>, settings: &Settings) -> ExtentText {
    let name = request.file_name.and_then(names::quotable).unwrap_or("disk.vmdk").to_owned();
    ExtentText { sectors: settings.sectors, kind: "SPARSE", name }
}

/// Sectors that a descriptor within an extent gets: as many as VMware gives it, unless it takes more.
pub(super) fn embedded_sectors(text: &str) -> u64 {
    // The zero byte behind the text ends it.
    (text.len() as u64 + 1).div_ceil(SECTOR_LEN).max(DESCRIPTOR_SECTORS)
}

/// Sectors that VMware gives a descriptor.
const DESCRIPTOR_SECTORS: u64 = 20;
