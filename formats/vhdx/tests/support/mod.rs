//! What the tests over folders of images share.

use std::ffi::OsString;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use imgfmt_core::{
    Admitted, Beneath, Chain, DenyAll, Error, FileStorage, Format, Gate, Limits, MemoryStorage, Opener, Reference,
    Result, Storage,
};
use imgfmt_vhdx::Vhdx;

/// Opens the image in `storage`, which is at `path`, with all that it builds on. It may open what lies beside it where
/// `with_gate` says so.
pub(crate) fn open(storage: Arc<dyn Storage>, path: &Path, with_gate: bool) -> Result<Chain> {
    let mut beneath = Beneath::new();
    beneath.allow_beside(path)?;
    let beside = Unpacked { beneath, folder: path.parent().unwrap_or(Path::new(".")).to_path_buf() };
    let gate: &dyn Gate = if with_gate { &beside } else { &DenyAll };
    let (formats, limits): ([&dyn Format; 1], _) = ([&Vhdx], Limits::default());
    Opener::new(&formats, gate, &limits).open(storage, Some(path), Some(Vhdx.name()))
}

/// Admits what lies in one folder, packed files under the name of what is in them.
struct Unpacked {
    /// The folder's files as they are.
    beneath: Beneath,
    /// The folder.
    folder: PathBuf,
}

impl Gate for Unpacked {
    fn open(&self, reference: &Reference<'_>) -> Result<Admitted> {
        let packed = OsString::from_iter([reference.name.as_os_str(), ".gz".as_ref()]);
        let plain_name = reference.name.file_name() == Some(reference.name.as_os_str());
        let path = self.folder.join(packed);
        match plain_name && path.is_file() {
            true => Ok(Admitted { storage: storage(&path)?, path: reference.name.to_path_buf() }),
            false => self.beneath.open(reference),
        }
    }

    fn beside(&self, image: &Path) -> Result<Vec<PathBuf>> {
        self.beneath.beside(image)
    }
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
