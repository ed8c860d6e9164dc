//! What the tests share: the opening and reading of whole disks.

pub(crate) mod raw;

use std::path::Path;
use std::sync::Arc;

use imgfmt_core::{Beneath, Chain, DenyAll, Format, Gate, Image, Layer, Limits, OpenContext, Opener, Result, Storage};
use imgfmt_qcow2::Qcow2;
use raw::Raw;
use sha2::{Digest, Sha256};

/// Opens the qcow2 image in `storage` with all that it builds on; `beside` is where it may look for that.
pub(crate) fn open(storage: Arc<dyn Storage>, path: &Path, beside: Option<&Path>) -> Result<Chain> {
    let layers = open_layers(storage, path, beside, None)?;
    Chain::new(layers.into_iter().map(|layer| layer.image).collect())
}

/// Opens the layers of the qcow2 image in `storage`, the first of them at `snapshot`.
pub(crate) fn open_layers(
    storage: Arc<dyn Storage>,
    path: &Path,
    beside: Option<&Path>,
    snapshot: Option<&str>,
) -> Result<Vec<Layer>> {
    let limits = Limits::default();
    let mut beneath = Beneath::new();
    if let Some(beside) = beside {
        beneath.allow_beside(beside)?;
    }
    let gate: &dyn Gate = if beside.is_some() { &beneath } else { &DenyAll };
    let formats: [&dyn Format; 2] = [&Qcow2, &Raw];
    let opener = Opener::new(&formats, gate, &limits);
    let context = OpenContext { snapshot, ..opener.context };
    Opener { fallback: Some(Raw.name()), context, ..opener }.open_layers(storage, Some(path), Some(Qcow2.name()))
}

/// Reads the whole disk and returns its SHA-256 in hexadecimal.
pub(crate) fn hash(image: &dyn Image) -> Result<String> {
    let mut hasher = Sha256::new();
    let mut buf = vec![0xa5; 1 << 20];
    let mut next = 0;
    while next < image.size() {
        let part = &mut buf[..usize::try_from(image.size() - next).unwrap_or(1 << 20).min(1 << 20)];
        image.read_at(part, next)?;
        hasher.update(&*part);
        next += part.len() as u64;
    }
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}
