//! What an image is.

use std::path::{Path, PathBuf};

use imgfmt_core::{ByteCounts, Description, Image, Result};

use super::files::{ImageFile, image_files};
use super::open::{Access, open_layer, open_layers};

/// What there is to say about one layer.
#[derive(Debug)]
pub struct ImageInfo {
    /// Guest bytes of the virtual disk.
    pub virtual_size: u64,
    /// The files that the image consists of, first the one that was opened.
    pub files: Vec<ImageFile>,
    /// What the format says.
    pub description: Description,
    /// Where the backing file is that the description names: a relative name is relative to the image's folder.
    pub backing_path: Option<PathBuf>,
    /// Guest bytes by kind, if they were to be counted; an error where the tables are damaged.
    pub counts: Option<Result<ByteCounts>>,
}

impl ImageInfo {
    /// Where the image is, as it was called.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.files.first().map_or(Path::new(""), |file| &file.path)
    }

    /// Bytes that the image's files take on the host, holes not counted.
    #[must_use]
    pub fn actual_size(&self) -> u64 {
        self.files.iter().fold(0, |sum, file| sum.saturating_add(file.actual_size))
    }
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
    Ok(ImageInfo {
        virtual_size: image.size(),
        files: image_files(path, image)?,
        backing_path: description.parent.as_ref().map(|parent| beside(path, &parent.name)),
        description,
        counts: count.then(|| ByteCounts::of(image)),
    })
}

/// The file that is called `name` in the image at `path`; as with the gate, the folder is the real one.
fn beside(path: &Path, name: &Path) -> PathBuf {
    let real = if path.is_symlink() { path.canonicalize().ok() } else { None };
    real.as_deref().unwrap_or(path).parent().unwrap_or(Path::new("")).join(name)
}
