//! Names of members.

use imgfmt_core::{Error, Result};

/// A name without `./` in front.
///
/// # Errors
///
/// [`Malformed`](imgfmt_core::ErrorKind::Malformed) for one that is empty, or not text.
pub(super) fn plain(name: &[u8]) -> Result<String> {
    let name = std::str::from_utf8(name).map_err(|e| Error::malformed("is not UTF-8").field("name").because(e))?;
    let mut name = name;
    while let Some(rest) = name.strip_prefix("./") {
        name = rest.trim_start_matches('/');
    }
    if name.is_empty() || name.contains('\0') {
        return Err(Error::malformed("is no name of a file").field("name"));
    }
    Ok(name.to_owned())
}
