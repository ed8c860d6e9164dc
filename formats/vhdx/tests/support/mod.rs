//! What the tests over folders of images share.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use imgfmt_core::{
    Beneath, Chain, DenyAll, Error, FileStorage, Format, Gate, Image, Limits, MemoryStorage, Opener, Result, Storage,
};
use imgfmt_vhdx::Vhdx;
use sha2::{Digest, Sha256};

/// Opens the image in `storage`, which is at `path`, with all that it builds on. It may open what lies beside it where
/// `with_gate` says so.
pub(crate) fn open(storage: Arc<dyn Storage>, path: &Path, with_gate: bool) -> Result<Chain> {
    let mut beneath = Beneath::new();
    beneath.allow_beside(path)?;
    let gate: &dyn Gate = if with_gate { &beneath } else { &DenyAll };
    let (formats, limits): ([&dyn Format; 1], _) = ([&Vhdx], Limits::default());
    Opener::new(&formats, gate, &limits).open(storage, Some(path), None)
}

/// The bytes of a file, unpacked where it ends in `.gz`.
pub(crate) fn bytes_of(path: &Path) -> Result<Vec<u8>> {
    let bytes = std::fs::read(path).map_err(|e| Error::io(format!("cannot read {}", path.display()), e))?;
    if path.extension().is_none_or(|extension| extension != "gz") {
        return Ok(bytes);
    }
    let mut unpacked = Vec::new();
    flate2::read::GzDecoder::new(bytes.as_slice())
        .read_to_end(&mut unpacked)
        .map_err(|e| Error::io(format!("cannot unpack {}", path.display()), e))?;
    Ok(unpacked)
}

/// The storage of an image: a file, or what is packed in it.
pub(crate) fn storage(path: &Path) -> Result<Arc<dyn Storage>> {
    match path.extension() {
        Some(extension) if extension == "gz" => Ok(Arc::new(MemoryStorage::new(bytes_of(path)?))),
        _ => Ok(Arc::new(FileStorage::open(path)?)),
    }
}

/// Reads the whole disk and returns its SHA-256 in hexadecimal.
pub(crate) fn hash(disk: &dyn Image) -> Result<String> {
    let mut hasher = Sha256::new();
    let mut bytes = vec![0; 1 << 20];
    let mut next = 0;
    while next < disk.size() {
        let len = usize::try_from(disk.size() - next).map_or(bytes.len(), |rest| rest.min(bytes.len()));
        disk.read_at(&mut bytes[..len], next)?;
        hasher.update(&bytes[..len]);
        next += len as u64;
    }
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// An error as a person would see it.
pub(crate) fn chain_of(error: &Error) -> String {
    let mut text = error.to_string();
    let mut level: &dyn std::error::Error = error;
    while let Some(below) = level.source() {
        text = format!("{text}: {below}");
        level = below;
    }
    text
}
