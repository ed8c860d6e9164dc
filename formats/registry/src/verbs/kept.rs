//! The options with which a new image is what another one is.

use imgfmt_core::{Description, Error, OptionSpec, Options, Result};
use serde_json::{Map, Value};

/// The options, among those that `specs` are, that make an image like the one that is described: its subformat, unit, and
/// whatever the format tells under the name of an option.
///
/// # Errors
///
/// [`Unsupported`](imgfmt_core::ErrorKind::Unsupported) for a subformat that can only be read.
pub(super) fn options_of(description: &Description, specs: &[OptionSpec]) -> Result<Options> {
    let mut options = Options::new();
    for spec in specs {
        if let Some(value) = value_of(description, spec)? {
            options.set(spec.name, &value);
        }
    }
    Ok(options)
}

/// The value that an option has in the image that is described, where it tells.
fn value_of(description: &Description, spec: &OptionSpec) -> Result<Option<String>> {
    match spec.name {
        "subformat" => return subformat_of(description, spec),
        "cluster_size" | "grain_size" | "block_size" => return Ok(description.cluster_size.map(|len| len.to_string())),
        _ => {}
    }
    if IDENTITIES.contains(&spec.name) {
        return Ok(identity_of(description, spec.name));
    }
    let own = find(&description.specific, spec.name).or_else(|| find(&description.details, spec.name));
    let nested = || description.details.values().filter_map(Value::as_object).find_map(|map| find_end(map, spec.name));
    Ok(own.or_else(nested))
}

/// The subformat. That an image builds on another one is said by the other one.
fn subformat_of(description: &Description, spec: &OptionSpec) -> Result<Option<String>> {
    let Some(subformat) = &description.subformat else {
        return Ok(None);
    };
    if spec.values.split('|').any(|word| word == subformat) {
        return Ok(Some(subformat.clone()));
    }
    if description.parent.is_some() {
        return Ok(None);
    }
    Err(Error::unsupported(format!("images of the subformat {subformat} can be read, but not written")))
}

/// By what children know the image: they go on to.
fn identity_of(description: &Description, name: &str) -> Option<String> {
    let called = |kind: &str| plain(kind).ends_with(name);
    let identities = &description.identities;
    let found = identities.iter().find(|identity| called(identity.kind));
    // What an option calls by one word has another name in some specifications; both are a UUID in text then.
    let first = || identities.first().filter(|identity| identity.value.len() == UUID_LEN && name != "cid");
    found.or_else(first).map(|identity| identity.value.clone())
}

/// The value under the name of an option.
fn find(map: &Map<String, Value>, name: &str) -> Option<String> {
    text(map.get(name).or_else(|| map.get(&name.replace('_', "-")))?)
}

/// The value under a name that ends like that of an option.
fn find_end(map: &Map<String, Value>, name: &str) -> Option<String> {
    let name = plain(name);
    text(map.iter().find(|(key, _)| plain(key).ends_with(&name))?.1)
}

/// Letters and digits of a name alone.
fn plain(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

/// A value as it stands on a command line.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::Bool(on) => Some(if *on { "on" } else { "off" }.to_owned()),
        Value::Number(number) => Some(number.to_string()),
        Value::String(text) => Some(text.clone()),
        _ => None,
    }
}

/// Options that give an image what its children know it by.
const IDENTITIES: [&str; 3] = ["cid", "uuid", "guid"];
/// Characters of a UUID in text.
const UUID_LEN: usize = 36;
