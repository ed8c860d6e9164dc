//! Which internal snapshot of an image is meant.

use imgfmt::Options;

use super::fault::Fault;
use super::getopt::Parsed;
use super::human::snapshots_of;
use super::image::Image;
use super::setting::Setting;

/// The id or name by which the library finds the snapshot of `image` that the option called `option` asks for, if it
/// asks for one.
pub(crate) fn wanted(parsed: &Parsed, option: &str, image: &Image, setting: &Setting) -> Result<Option<String>, Fault> {
    let Some(text) = parsed.get(option).map(|text| text.to_string_lossy()) else { return Ok(None) };
    if !text.starts_with(PREFIX) {
        return Ok(Some(text.into_owned()));
    }
    let named = Options::parse(&text).map_err(|error| Fault::new(error.to_string()))?;
    if let Some(other) = named.names().find(|name| *name != ID && *name != NAME) {
        let what = format!("qemu-img: Failed in parsing snapshot param '{text}'");
        return Err(Fault::new(format!("Invalid parameter '{other}'")).and(&what));
    }
    let (id, name) = (named.get(ID), named.get(NAME));
    let list = snapshots_of(&setting.describe(image, false)?);
    let mut found = list.into_iter();
    let found = found.find(|one| id.is_none_or(|id| one.id == id) && name.is_none_or(|name| one.name == name));
    found.map(|snapshot| Some(snapshot.id)).ok_or_else(|| not_found(&format!("there is none with {text}")))
}

/// There is no such snapshot, and why.
pub(crate) fn not_found(why: &str) -> Fault {
    Fault::new(format!("Failed to load snapshot: Can't find snapshot ({why})"))
}

/// How a snapshot begins that is not called by its id or name alone.
const PREFIX: &str = "snapshot.";
/// The option for its id.
const ID: &str = "snapshot.id";
/// The option for its name.
const NAME: &str = "snapshot.name";
