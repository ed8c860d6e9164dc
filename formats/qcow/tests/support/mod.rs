//! What the tests over folders of images share.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use imgfmt_core::conformance::{Plain, content_of};
use imgfmt_core::{Beneath, Chain, DenyAll, FileStorage, Format, Gate, Image, Limits, Opener, Result};
use imgfmt_qcow::Qcow;

/// Opens the image at `path` with what it builds on. It may open what lies beside it where `with_gate` says so.
pub(crate) fn open(path: &Path, with_gate: bool) -> Result<Chain> {
    let mut beneath = Beneath::new();
    beneath.allow_beside(path)?;
    let gate: &dyn Gate = if with_gate { &beneath } else { &DenyAll };
    let (formats, limits): ([&dyn Format; 2], _) = ([&Qcow, &Plain], Limits::default());
    let opener = Opener { fallback: Some(Plain.name()), ..Opener::new(&formats, gate, &limits) };
    opener.open(Arc::new(FileStorage::open(path)?), Some(path), Some(Qcow.name()))
}

/// The SHA-256 of all guest bytes of `image`, read from the first to the last.
pub(crate) fn hash(image: &dyn Image) -> Result<String> {
    content_of(image).map(|(_, hash)| hash)
}

/// Bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
