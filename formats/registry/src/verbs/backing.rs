//! The file that a new image is to build on.

use std::path::Path;

use imgfmt_core::{Backing, Error, Layer, ParentName, Result};

use super::files::{HostFile, host_files, is_part_of};
use super::open::{Access, describe_layers, open_layers};
use crate::formats::name_in_images;

/// What a new image builds on.
pub(crate) struct Below {
    /// What the image is told of it.
    pub(crate) backing: Backing,
    /// The files that hold its bytes, down to the last layer.
    pub(crate) files: Vec<HostFile>,
}

/// Opens the file that the image at `path` is to build on, which shows that it is there and what it is.
///
/// # Errors
///
/// [`Invalid`](imgfmt_core::ErrorKind::Invalid) where the image would build on itself, and as
/// [`open_layers`].
pub(crate) fn resolve(path: &Path, backing: &ParentName, access: &Access<'_>) -> Result<Below> {
    let place = folder_of(path).join(&backing.name);
    // Its header is looked at, and nothing of it is read: whoever writes to it does no harm.
    let access = Access { force_share: true, ..access.below() };
    let format = backing.format.as_deref();
    // Data files and extents are known once they are open. Where they cannot be, as without a secret, the headers have to do.
    let layers = open_layers(&place, format, &access).or_else(|_| describe_layers(&place, format, &access))?;
    let backing = backing_of(path, backing, &layers)?;
    let mut files: Vec<_> = layers.iter().filter_map(|layer| layer.path.as_deref().and_then(HostFile::at)).collect();
    for layer in &layers {
        files.extend(host_files(layer.image.as_ref())?);
    }
    Ok(Below { backing, files })
}

/// What the image at `path` is told of `layers`, which it is to build on under the name in `backing`.
///
/// # Errors
///
/// As [`resolve`].
pub(crate) fn backing_of(path: &Path, backing: &ParentName, layers: &[Layer]) -> Result<Backing> {
    let target = HostFile::at(path);
    for layer in layers {
        let is_named = target.is_some() && layer.path.as_deref().and_then(HostFile::at) == target;
        if let Some(target) = target
            && (is_named || is_part_of(target, layer.image.as_ref())?)
        {
            return Err(Error::invalid(format!("{} would become its own backing file", path.display())));
        }
    }
    let top = layers.first().ok_or_else(|| Error::invalid("a chain needs a layer"))?;
    Ok(Backing {
        name: as_stored(&ParentName { name: backing.name.clone(), format: Some(top.format.to_owned()) }),
        path: folder_of(path).join(&backing.name).canonicalize().ok(),
        identities: top.image.describe().identities,
        size: top.image.size(),
    })
}

/// The name of a file that an image builds on, as the image has it.
pub(crate) fn as_stored(parent: &ParentName) -> ParentName {
    let format = parent.format.as_deref().map(|format| name_in_images(format).to_owned());
    ParentName { name: parent.name.clone(), format }
}

/// The folder that relative names in the image at `path` are relative to: the real one.
pub(crate) fn folder_of(path: &Path) -> std::path::PathBuf {
    let real = if path.is_symlink() { path.canonicalize().ok() } else { None };
    real.as_deref().unwrap_or(path).parent().unwrap_or(Path::new("")).to_path_buf()
}
