//! Changing an image takes more than what its bytes say of their format.
//!
//! Whoever writes to a raw disk can make its first bytes look like another format, and have a file changed that they
//! name there. So a format that is only probed is enough to read an image, not to change it.

use std::path::Path;

use imgfmt::Access;

use crate::failure::Failure;

/// Refuses to change the image at `path` where its format was not said, and is not raw as it seems.
///
/// # Errors
///
/// What opening says, and a failure that names the format that is to be said.
pub(crate) fn require_format(said: Option<&str>, path: &Path, access: &Access<'_>) -> Result<(), Failure> {
    if said.is_some() {
        return Ok(());
    }
    match imgfmt::probe(path, access)? {
        "raw" => Ok(()),
        format => Err(Failure::Usage(format!(
            "{} looks like {format}, but its bytes alone are not trusted to change it: say -f {format} if that is what it \
             is, or -f raw if it is a disk that only looks so",
            path.display()
        ))),
    }
}
