//! What the tests share: the opening and reading of whole disks.

use std::path::Path;
use std::sync::Arc;

use imgfmt_core::conformance::{Plain, content_of};
use imgfmt_core::{Beneath, Chain, DenyAll, Format, Gate, Image, Limits, Opener, Result, Storage};
use imgfmt_qcow2::Qcow2;

/// Opens the qcow2 image in `storage` with all that it builds on; `beside` is where it may look for that.
pub(crate) fn open(storage: Arc<dyn Storage>, path: &Path, beside: Option<&Path>) -> Result<Chain> {
    let limits = Limits::default();
    let mut beneath = Beneath::new();
    if let Some(beside) = beside {
        beneath.allow_beside(beside)?;
    }
    let gate: &dyn Gate = if beside.is_some() { &beneath } else { &DenyAll };
    let formats: [&dyn Format; 2] = [&Qcow2, &Plain];
    let opener = Opener { fallback: Some(Plain.name()), ..Opener::new(&formats, gate, &limits) };
    opener.open(storage, Some(path), Some(Qcow2.name()))
}

/// Reads the whole disk and returns its SHA-256 in hexadecimal.
pub(crate) fn hash(image: &dyn Image) -> Result<String> {
    content_of(image).map(|(_, hash)| hash)
}
