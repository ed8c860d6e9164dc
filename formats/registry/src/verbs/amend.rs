//! Other options for an image that exists.

use imgfmt_core::{Error, OptionSpec, Options, Result};

use super::edited::Edited;
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
    let amend = amend.ok_or_else(|| Error::unsupported(format!("images in the format {format} {NONE}")))?;
    Ok(amend.options())
}

/// Changes options of an image, and leaves all others as they are. `force` allows what cannot be undone.
///
/// # Errors
///
/// As [`amend_options_of`] and [`Amend::amend`](imgfmt_core::Amend::amend), and what opening says.
pub fn amend(source: &Source, options: &Options, force: bool, access: &Access<'_>) -> Result<()> {
    let change = || {
        let image = Edited::open(source, access)?;
        let amend = image.kind.need(image.kind.abilities.amend, NONE)?;
        let change =
            options.check(amend.options()).and_then(|()| amend.amend(image.medium(), options, force, &image.context()));
        change.map_err(|e| e.in_format(image.kind.name))
    };
    change().map_err(|e| e.context(format!("cannot change the options of {}", source.path.display())))
}

/// What images cannot where the format has no options to change.
const NONE: &str = "have no options that can be changed";
