//! What an image is.

use std::path::{Path, PathBuf};

use imgfmt_core::{ByteCounts, Description, Image, Result};

use super::files::actual_size;
use super::open::{Access, open_layer, open_layers};

/// What there is to say about one layer.
#[derive(Debug)]
pub struct ImageInfo {
    /// Where it is, as it was called.
    pub path: PathBuf,
    /// Guest bytes of the virtual disk.
    pub virtual_size: u64,
    /// Bytes that its files take on the host, holes not counted.
    pub actual_size: u64,
    /// What the format says.
    pub description: Description,
    /// Where the backing file is that the description names: beside the image where the name is relative.
    pub backing_path: Option<PathBuf>,
    /// Guest bytes by kind, if they were to be counted; an error where the tables are damaged.
    pub counts: Option<Result<ByteCounts>>,
}

/// Describes the image at `path` alone. Its backing file is not touched; with `count`, its tables are
/// walked. Without a `format`, the file is probed.
///
/// # Errors
///
/// As [`open_layer`]. Damage that is only met while counting is in [`ImageInfo::counts`].
pub fn info(path: &Path, format: Option<&str>, access: &Access<'_>, count: bool) -> Result<ImageInfo> {
    let (opened, _) = open_layer(path, format, access)?;
    describe(path, opened.image.as_ref(), count)
}

/// Describes the image at `path` and every layer that it builds on, the top one first.
///
/// # Errors
///
/// As [`open_layers`].
pub fn chain_info(path: &Path, format: Option<&str>, access: &Access<'_>, count: bool) -> Result<Vec<ImageInfo>> {
    let layers = open_layers(path, format, access)?;
    layers.iter().map(|layer| describe(layer.path.as_deref().unwrap_or(path), layer.image.as_ref(), count)).collect()
}

/// Describes one layer.
fn describe(path: &Path, image: &dyn Image, count: bool) -> Result<ImageInfo> {
    let description = image.describe();
    let folder = path.parent().unwrap_or(Path::new(""));
    Ok(ImageInfo {
        path: path.to_path_buf(),
        virtual_size: image.size(),
        actual_size: actual_size(path, image)?,
        backing_path: description.parent.as_ref().map(|parent| folder.join(&parent.name)),
        description,
        counts: count.then(|| ByteCounts::of(image)),
    })
}
