//! What the tests write.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use imgfmt_core::convert::Convert;
use imgfmt_core::{Backing, CreateRequest, Format, Image, MemoryTarget, Options, ParentName, Result};
use imgfmt_vhd::Vhd;

/// The file that `image` becomes with `options`, as `convert` says.
pub(crate) fn write_with(
    convert: &Convert<'_>,
    image: &dyn Image,
    options: &str,
    backing: Option<&Backing>,
) -> Result<Vec<u8>> {
    let options = Options::parse(options)?;
    let target = Arc::new(MemoryTarget::new());
    let request = CreateRequest { backing, ..CreateRequest::new(image.size(), &options) };
    convert.run(image, Vhd.create(target.clone(), &request)?)?;
    Ok(target.to_vec())
}

/// The image `parent`, which is called `name`, as something to build on.
pub(crate) fn backing(parent: &dyn Image, name: &str, path: Option<&Path>) -> Backing {
    Backing {
        name: ParentName { name: PathBuf::from(name), format: Some("vhd".to_owned()) },
        path: path.map(Path::to_path_buf),
        identities: parent.describe().identities,
        size: parent.size(),
    }
}
