//! Other options for an image that exists.

use imgfmt_core::{Error, OptionSpec, Options, Result};

use super::open::Access;
use super::request::Source;

/// The options that an image in the format of that name can change.
///
/// # Errors
///
/// [`Invalid`](imgfmt_core::ErrorKind::Invalid) with the nearest name, where there is no such format;
/// [`Unsupported`](imgfmt_core::ErrorKind::Unsupported) where its images cannot change any.
pub fn amend_options_of(format: &str) -> Result<&'static [OptionSpec]> {
    let amend = Access::default().opener().by_name(format)?.abilities().amend;
    let amend =
        amend.ok_or_else(|| Error::unsupported(format!("images in the format {format} cannot change options")))?;
    Ok(amend.options())
}

/// Changes options of an image, and leaves all others as they are. `force` allows what cannot be undone.
///
/// # Errors
///
/// As [`amend_options_of`] and [`Amend::amend`](imgfmt_core::Amend::amend), and what opening says.
pub fn amend(source: &Source, _options: &Options, _force: bool, _access: &Access<'_>) -> Result<()> {
    Err(Error::unsupported(format!("{} cannot be amended yet", source.path.display())))
}
