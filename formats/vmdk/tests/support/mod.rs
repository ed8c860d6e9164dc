//! What the tests over folders of images share.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use imgfmt_core::{Beneath, DenyAll, Error, FileStorage, Format, Gate, Image, Limits, Opener, Result};
use imgfmt_vmdk::Vmdk;
use sha2::{Digest, Sha256};

/// The size and the hash of the guest bytes of the image at `path`, read from its first byte to its last. It may
/// open what lies beside it where `with_gate` says so.
pub(crate) fn read_all(path: &Path, with_gate: bool) -> Result<(u64, String)> {
    let mut beneath = Beneath::new();
    beneath.allow_beside(path)?;
    let gate: &dyn Gate = if with_gate { &beneath } else { &DenyAll };
    let (formats, limits): ([&dyn Format; 1], _) = ([&Vmdk], Limits::default());
    let opener = Opener::new(&formats, gate, &limits);
    let disk = opener.open(Arc::new(FileStorage::open(path)?), Some(path), None)?;
    let mut hash = Sha256::new();
    let mut bytes = vec![0; 4 << 20];
    let mut next = 0;
    while next < disk.size() {
        let len = usize::try_from(disk.size() - next).map_or(bytes.len(), |rest| rest.min(bytes.len()));
        disk.read_at(&mut bytes[..len], next)?;
        hash.update(&bytes[..len]);
        next += len as u64;
    }
    Ok((disk.size(), hex(&hash.finalize())))
}

/// An error as a person would see it.
pub(crate) fn chain_of(error: &Error) -> String {
    let mut text = error.to_string();
    let mut level: &dyn std::error::Error = error;
    while let Some(below) = level.source() {
        let _ = write!(text, ": {below}");
        level = below;
    }
    text
}

/// Bytes as hexadecimal digits.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
