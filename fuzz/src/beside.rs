//! An image and the file that it names, in one input.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use imgfmt_core::{Admitted, Format, Gate, Limits, MemoryStorage, Opener, Reference, Result, Storage};
use imgfmt_raw::Raw;

use crate::{agrees_with_itself, converts_as_it_reads};

/// Opens the image that `bytes` begin with, where every name means the same file: what starts at the next
/// `magic` within `bytes`, or all of them where there is none.
pub fn open_beside(format: &dyn Format, bytes: &[u8], magic: &[u8]) {
    let split = bytes.windows(magic.len()).skip(1).position(|window| window == magic).map(|at| at + 1);
    let (image, named) = split.map_or((bytes, bytes), |at| bytes.split_at(at));
    let gate = One(Arc::new(MemoryStorage::new(named)));
    let limits = Limits::default();
    let formats: [&dyn Format; 2] = [format, &Raw];
    let opener = Opener { fallback: Some(Raw.name()), ..Opener::new(&formats, &gate, &limits) };
    if let Ok(chain) = opener.open(Arc::new(MemoryStorage::new(image)), None, Some(format.name())) {
        agrees_with_itself(&chain);
        converts_as_it_reads(&chain, bytes.len().is_multiple_of(2));
    }
}

/// Admits every name as the same file.
pub(crate) struct One(pub(crate) Arc<dyn Storage>);

impl Gate for One {
    fn open(&self, reference: &Reference<'_>) -> Result<Admitted> {
        Ok(Admitted { storage: Arc::clone(&self.0), path: reference.name.to_path_buf() })
    }

    fn beside(&self, _image: &Path) -> Result<Vec<PathBuf>> {
        Ok(Vec::new())
    }
}
