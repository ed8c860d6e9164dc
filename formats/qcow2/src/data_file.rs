//! The external data file: where the clusters are, if not in the image itself.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;

use imgfmt_core::{Error, OpenContext, Result, Role, SourceId, Storage};

use crate::header::Header;
use crate::layout::{HeaderExtension, INCOMPATIBLE_FEATURES_AT};
use imgfmt_core::fields::Place;

/// Where guest clusters are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DataPlace {
    /// In the image.
    Inside,
    /// In the data file, each at its own guest offset.
    DataFile,
    /// In a data file that was not opened, since the image is only to be described.
    Closed,
}

impl DataPlace {
    /// The source of guest clusters, where it is open.
    pub(crate) fn source(self) -> Option<SourceId> {
        match self {
            Self::Inside => Some(SourceId(0)),
            Self::DataFile => Some(SourceId(1)),
            Self::Closed => None,
        }
    }
}

/// The sources of the image in `file`: itself, and its data file where it has one; and where the clusters are.
///
/// # Errors
///
/// As [`name`], and as [`OpenContext::admit`].
pub(crate) fn sources(
    file: Arc<dyn Storage>,
    header: &Header,
    context: &OpenContext<'_>,
) -> Result<(Vec<Arc<dyn Storage>>, DataPlace)> {
    let Some(name) = name(header)? else {
        return Ok((vec![file], DataPlace::Inside));
    };
    if context.describe_only {
        return Ok((vec![file], DataPlace::Closed));
    }
    let admitted = context
        .admit(&name, Role::Extent)
        .map_err(|e| e.context(format!("cannot open the data file {}", name.display())))?;
    Ok((vec![file, admitted.storage], DataPlace::DataFile))
}

/// The name of the data file: the bytes as they are, never anything but a file name. Without its feature bit, the
/// name means nothing.
///
/// # Errors
///
/// [`Malformed`](imgfmt_core::ErrorKind::Malformed) where there has to be a name and is none, or it cannot be a file name.
pub(crate) fn name(header: &Header) -> Result<Option<PathBuf>> {
    if !header.features.data_file() {
        return Ok(None);
    }
    let extension = header.extensions.find(HeaderExtension::DATA_FILE).ok_or_else(|| {
        let what = "says that there is a data file, but no header extension has its name";
        Place::in_header("incompatible_features", INCOMPATIBLE_FEATURES_AT).malformed(what)
    })?;
    if extension.data.is_empty() || extension.data.contains(&0) {
        return Err(Error::malformed("the data file name is empty or holds a NUL byte").at(extension.at));
    }
    Ok(Some(PathBuf::from(OsStr::from_bytes(&extension.data))))
}
