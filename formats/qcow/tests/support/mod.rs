//! What the tests over folders of images share.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use imgfmt_core::conformance::Plain;
use imgfmt_core::{Beneath, Chain, DenyAll, FileStorage, Format, Gate, Image, Limits, Opener, Result};
use imgfmt_qcow::Qcow;
use sha2::{Digest, Sha256};

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
    let mut hash = Sha256::new();
    let mut bytes = vec![0; 4 << 20];
    let mut next = 0;
    while next < image.size() {
        let len = usize::try_from(image.size() - next).map_or(bytes.len(), |rest| rest.min(bytes.len()));
        image.read_at(&mut bytes[..len], next)?;
        hash.update(&bytes[..len]);
        next += len as u64;
    }
    Ok(hex(&hash.finalize()))
}

/// Bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
