//! Other options for an image that exists.

use imgfmt_core::{Amend, AmendRequest, Error, ErrorKind, OptionSpec, Options, Result};

use super::edited::Edited;
use super::open::Access;
use super::request::Source;
use super::resize::own_last_unit;

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
/// As [`amend_options_of`] and [`Amend::amend`], and what opening says.
pub fn amend(source: &Source, options: &Options, force: bool, access: &Access<'_>) -> Result<()> {
    let change = || {
        let image = Edited::open(source, access)?;
        let amend = image.kind.need(image.kind.abilities.amend, NONE)?;
        let change = options.check(amend.options()).and_then(|()| carry_out(amend, options, force, &image));
        change.map_err(|e| e.in_format(image.kind.name))
    };
    change().map_err(|e| e.context(format!("cannot change the options of {}", source.path.display())))
}

/// Changes `options` of `image`. Where its disk becomes larger, and its last unit is in part the parent's, it gets that part first,
/// as by [`resize`](super::resize::resize).
fn carry_out(amend: &dyn Amend, options: &Options, force: bool, image: &Edited<'_>) -> Result<()> {
    let below = if options.get(SIZE).is_some() { image.layers_below() } else { Vec::new() };
    let parent_size = below.first().map(|parent| parent.image.size());
    let request = AmendRequest { options, force, parent_size };
    match amend.amend(image.medium(), &request, &image.context()) {
        Err(error) if error.kind() == ErrorKind::Missing && !below.is_empty() => {
            image.edit(|editor| own_last_unit(editor, below))?;
            amend.amend(image.medium(), &request, &image.context())
        }
        done => done,
    }
}

/// The option that gives a disk another size.
const SIZE: &str = "size";
/// What images cannot where the format has no options to change.
const NONE: &str = "have no options that can be changed";
