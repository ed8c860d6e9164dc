//! Reading back what was written, before it counts.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use imgfmt_core::convert::Convert;
use imgfmt_core::{
    Admitted, Chain, Error, Format, Gate, HashAlgorithm, HashValue, Image, ImageExt, OpenContext, Opener, Options, Output,
    Reference, Result, Storage, Window,
};

use super::open::RAW;
use super::request::ConvertRequest;

/// Reads the new image in `output`, of a disk of `size` bytes, and compares its content with the last of `hashes`, which is
/// that of what was read.
///
/// # Errors
///
/// [`Malformed`](imgfmt_core::ErrorKind::Malformed) where it is another disk, and whatever opening and reading meet.
pub(super) fn check(request: &ConvertRequest<'_>, output: &Output, size: u64, hashes: &[HashValue]) -> Result<()> {
    let read = hashes.last().ok_or_else(|| Error::malformed("there is no hash of what was read"))?;
    let opener = request.access.opener();
    let format = opener.by_name(&request.target_format)?;
    let gate = Parts { output, other: request.access.gate };
    let options = open_options(format, &request.options);
    let path = request.target.as_path();
    let context = OpenContext { gate: &gate, path: Some(path), options: &options, snapshot: None, ..opener.context };
    let opener = Opener { wrappers: opener.wrappers, context, member: None, ..opener };
    let storage = output.read_back()?;
    // What lies behind the disk on a device, or in a file that was overwritten in place, is not of this conversion.
    let storage: Arc<dyn Storage> = match format.name() {
        RAW if storage.len() > size => Arc::new(Window::new(storage, 0..size)?),
        _ => storage,
    };
    let layers = opener.open_layers(storage, Some(path), Some(format.name()).filter(|_| opens(format)))?;
    let disk = Chain::new(layers.into_iter().map(|layer| layer.image).collect())?;
    if disk.size() < size {
        return Err(Error::malformed(format!("the disk has {} bytes of {size}", disk.size())));
    }
    if let Some(error) = behind(&disk, size)? {
        return Err(error);
    }
    let engine = Convert { threads: request.engine.threads, cancel: request.engine.cancel.clone(), ..Convert::default() };
    let written = imgfmt_core::hash::hash(&Front { disk: &disk, size }, &[HashAlgorithm::Blake3], &engine)?;
    match written.first() {
        Some(written) if written == read => Ok(()),
        Some(written) => {
            let (written, read) = (written.hex(), read.hex());
            Err(Error::malformed(format!("its content has the BLAKE3 hash {written}, and what was read {read}")))
        }
        None => Err(Error::malformed("there is no hash of what was written")),
    }
}
