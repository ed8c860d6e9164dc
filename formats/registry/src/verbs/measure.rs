//! How much space a new image would take.

use imgfmt_core::holes::Holes;
use imgfmt_core::{BitmapInfo, Chain, CreateRequest, Error, ExtentKind, Format, Image, Measure, Options, Result};

use super::measuring::{Counted, Counting};
use super::open::{Access, open_layers, options_of};
use super::request::Source;

/// What would be converted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MeasureSource {
    /// This image.
    Image(Source),
    /// An empty disk of so many bytes.
    Size(u64),
}

/// What is to be measured.
#[derive(Clone)]
pub struct MeasureRequest<'a> {
    /// What would be converted.
    pub source: MeasureSource,
    /// The name of the new image's format.
    pub target_format: String,
    /// Options of the new image's format.
    pub options: Options,
    /// What the source may do while it is opened, and the secrets that options may name.
    pub access: Access<'a>,
}

/// How much space a new image would take, in bytes of its files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Measured {
    /// With the data that is there. Tables have room for all of the disk, so this is enough to go on from.
    pub required: u64,
    /// With all of the disk filled.
    pub fully_allocated: u64,
    /// What the bitmaps of the source would take besides, where the format can hold them and there are any.
    pub bitmaps: Option<u64>,
}

/// Measures. Guest data is not read, so compression, and zeros within what is stored, are not foreseen.
///
/// # Errors
///
/// As [`open_layers`]; [`Unsupported`](imgfmt_core::ErrorKind::Unsupported) for a format that cannot be written,
/// [`Invalid`](imgfmt_core::ErrorKind::Invalid) for options that it does not have.
pub fn measure(request: &MeasureRequest<'_>) -> Result<Measured> {
    options_of(&request.target_format)?;
    let format = request.access.opener().by_name(&request.target_format)?;
    match &request.source {
        MeasureSource::Size(size) => measure_disk(request, format, *size, None, &[]),
        MeasureSource::Image(source) => {
            let mut layers = open_layers(&source.path, source.format.as_deref(), &request.access)?;
            let bitmaps = layers.first_mut().map(|top| std::mem::take(&mut top.bitmaps)).unwrap_or_default();
            let infos: Vec<_> = bitmaps.iter().map(|bitmap| bitmap.info().clone()).collect();
            let image = Chain::new(layers.into_iter().map(|layer| layer.image).collect())?;
            measure_disk(request, format, image.size(), Some(&image), &infos)
        }
    }
}

/// Measures a disk of `size` bytes that holds what `image` does, or nothing.
fn measure_disk(
    request: &MeasureRequest<'_>,
    format: &dyn Format,
    size: u64,
    image: Option<&dyn Image>,
    bitmaps: &[BitmapInfo],
) -> Result<Measured> {
    let known = format.abilities().measure;
    let unit = known.map_or(Ok(None), |measure| measure.unit(&request.options))?;
    let unit = unit.map_or_else(|| counted(request, format, size, false).map(|counted| counted.unit), Ok)?;
    let fully = match known {
        Some(measure) => measure.fully_allocated(size, &request.options)?,
        None => counted(request, format, size, true)?.len,
    };
    let whole = size.checked_next_multiple_of(unit).ok_or_else(|| Error::invalid("the disk is too large"))?;
    let data = image.map_or(Ok(0), |image| data_units(image, unit))?;
    let bitmaps = known.filter(|_| !bitmaps.is_empty()).map(|measure| bitmap_space(measure, size, request, bitmaps));
    // Where units are not padded, what is not there of the last one takes no space either.
    let required = match request.options.get(PREALLOCATION) {
        Some("falloc" | "full") => fully,
        _ => (fully.max(whole) - whole).saturating_add(data.min(whole)).min(fully),
    };
    Ok(Measured { required, fully_allocated: fully, bitmaps: bitmaps.transpose()? })
}

/// What bitmaps take.
fn bitmap_space(measure: &dyn Measure, size: u64, request: &MeasureRequest<'_>, bitmaps: &[BitmapInfo]) -> Result<u64> {
    measure.bitmaps(size, &request.options, bitmaps)
}

/// Guest bytes of the units of `unit` bytes that hold data.
fn data_units(image: &dyn Image, unit: u64) -> Result<u64> {
    let (mut bytes, mut counted_to) = (0, 0);
    Holes::new().visit(image, 0..image.size(), &mut |extent| {
        if matches!(extent.kind, ExtentKind::Zero { .. } | ExtentKind::Parent) {
            return Ok(());
        }
        let start = (extent.start / unit * unit).max(counted_to);
        let end = extent.end().checked_next_multiple_of(unit).unwrap_or(extent.end());
        bytes += end.saturating_sub(start);
        counted_to = counted_to.max(end);
        Ok(())
    })?;
    Ok(bytes)
}

/// What the format's own writer makes of a disk of `size` bytes that is empty, or full.
fn counted(request: &MeasureRequest<'_>, format: &dyn Format, size: u64, full: bool) -> Result<Counted> {
    let counting = Counting::new();
    // What is reserved in advance has no other shape, and its tables would all be made.
    let mut options = request.options.clone();
    if matches!(options.get(PREALLOCATION), Some("metadata" | "falloc" | "full")) {
        options.set(PREALLOCATION, "off");
    }
    let create = CreateRequest {
        file_name: Some("measured".as_ref()),
        files: &counting,
        secrets: request.access.secrets,
        ..CreateRequest::new(size, &options)
    };
    let writer = format.create(counting.target(), &create).map_err(|e| e.in_format(format.name()))?;
    counting.count(writer, size, full).map_err(|e| e.in_format(format.name()))
}

/// The option that reserves space in advance.
const PREALLOCATION: &str = "preallocation";
