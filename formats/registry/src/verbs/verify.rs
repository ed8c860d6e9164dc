//! Reading back what was written, before it counts.

use std::path::{Path, PathBuf};

use imgfmt_core::convert::Convert;
use imgfmt_core::{
    Admitted, Chain, Error, Format, Gate, HashAlgorithm, HashValue, Image, Layer, OpenContext, Opener, Options, Output,
    Part, Reference, Result, Writable,
};

use super::open::{Access, open_layers};
use super::request::ConvertRequest;
use crate::WRAPPERS;

/// Reads the new image in `output`, of a disk of `size` bytes, and compares its content with the last of `hashes`, which is
/// that of what was read.
///
/// # Errors
///
/// [`Malformed`](imgfmt_core::ErrorKind::Malformed) where it is another disk, and whatever opening and reading meet.
pub(super) fn check(request: &ConvertRequest<'_>, output: &Output, size: u64, hashes: &[HashValue]) -> Result<()> {
    let opener = request.access.opener();
    let format = opener.by_name(&request.target_format)?;
    let gate = Parts { output, other: request.access.gate };
    let options = open_options(format, &request.options);
    let path = request.access.place(&request.target);
    let context = OpenContext { gate: &gate, path, options: &options, snapshot: None, ..opener.context };
    let opener = Opener { wrappers: opener.wrappers, context, member: None, alone: false, ..opener };
    let format = Some(format.name()).filter(|_| !WRAPPERS.iter().any(|wrapper| wrapper.name() == format.name()));
    let layers = opener.open_layers(output.read_back()?, path, format)?;
    check_layers(request, layers, size, hashes)
}

/// Reads the image that was written into where it is, and compares its first `size` bytes as [`check`] does.
///
/// # Errors
///
/// As [`check`].
pub(super) fn check_in_place(request: &ConvertRequest<'_>, size: u64, hashes: &[HashValue]) -> Result<()> {
    let format = request.access.opener().by_name(&request.target_format)?;
    let options = open_options(format, &request.options);
    let access = Access { options: &options, snapshot: None, ..request.access.clone() };
    let layers = open_layers(&request.target, Some(format.name()), &access)?;
    check_layers(request, layers, size, hashes)
}

/// Compares the first `size` bytes of the disk that `layers` are.
fn check_layers(request: &ConvertRequest<'_>, layers: Vec<Layer>, size: u64, hashes: &[HashValue]) -> Result<()> {
    let read = hashes.last().ok_or_else(|| Error::malformed("there is no hash of what was read"))?;
    let disk = Chain::new(layers.into_iter().map(|layer| layer.image).collect())?;
    if disk.size() < size {
        return Err(Error::malformed(format!("the disk has {} bytes of {size}", disk.size())));
    }
    // What lies behind, as on a device, or where a format has no such size, is not of this conversion.
    let disk = Part::new(Box::new(disk), 0..size)?;
    let engine =
        Convert { threads: request.engine.threads, cancel: request.engine.cancel.clone(), ..Convert::default() };
    let written = imgfmt_core::hash::hash(&disk, &[HashAlgorithm::Blake3], &engine)?;
    match written.first() {
        Some(written) if written == read => Ok(()),
        Some(written) => {
            let (written, read) = (written.hex(), read.hex());
            Err(Error::malformed(format!("its content has the BLAKE3 hash {written}, and what was read {read}")))
        }
        None => Err(Error::malformed("there is no hash of what was written")),
    }
}

/// Those of `options` that the format knows for opening, too.
pub(super) fn open_options(format: &dyn Format, options: &Options) -> Options {
    let mut known = Options::new();
    for name in options.names().filter(|name| format.open_options().iter().any(|spec| spec.name == *name)) {
        known.set(name, options.get(name).unwrap_or_default());
    }
    known
}

/// Admits the other files of the new image, which have no names yet, and what another gate admits.
struct Parts<'a> {
    /// The new image.
    output: &'a Output,
    /// Decides about all else.
    other: &'a dyn Gate,
}

#[deny(clippy::missing_trait_methods)]
impl Gate for Parts<'_> {
    fn open(&self, reference: &Reference<'_>) -> Result<Admitted> {
        match self.output.read_sibling(reference.name)? {
            Some(storage) => Ok(Admitted { storage, path: reference.name.to_path_buf() }),
            None => self.other.open(reference),
        }
    }

    fn open_to_write(&self, reference: &Reference<'_>) -> Result<Writable> {
        self.other.open_to_write(reference)
    }

    fn beside(&self, image: &Path) -> Result<Vec<PathBuf>> {
        self.other.beside(image)
    }
}
