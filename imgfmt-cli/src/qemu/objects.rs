//! `--object`: secrets, and nothing else.

use std::collections::HashSet;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use imgfmt::{Options, Secrets};

use super::fault::{Fault, strerror};
use super::getopt::Parsed;
use super::json_name;

/// The secrets that the command line defines.
pub(crate) fn secrets(parsed: &Parsed) -> Result<Secrets, Fault> {
    let mut secrets = Secrets::new();
    let mut ids = HashSet::new();
    for object in parsed.all("object") {
        let options = options(&object.to_string_lossy())?;
        let kind = options.get("qom-type").ok_or_else(|| Fault::new("Parameter 'qom-type' is missing"))?;
        if kind != "secret" {
            return Err(Fault::new(format!("Parameter 'qom-type' does not accept value '{kind}'")));
        }
        if let Some(name) = options.names().find(|name| !KNOWN.contains(name)) {
            return Err(Fault::new(format!("Parameter '{name}' is unexpected")));
        }
        let id = options.get("id").ok_or_else(|| Fault::new("Parameter 'id' is missing"))?;
        check_id(id)?;
        if !ids.insert(id.to_owned()) {
            return Err(Fault::new(format!("attempt to add duplicate property '{id}' to object (type 'container')")));
        }
        secrets.add(id, bytes(&options)?);
    }
    Ok(secrets)
}

/// What an object is said to be: in JSON, or as options behind its type.
fn options(text: &str) -> Result<Options, Fault> {
    let mut options = Options::new();
    if text.starts_with('{') {
        json_name::options(text).map_err(Fault::new)?.iter().for_each(|(name, value)| options.set(name, value));
        return Ok(options);
    }
    let (kind, rest) = text.split_once(',').unwrap_or((text, ""));
    let is_type = !kind.is_empty() && !kind.contains('=');
    if is_type {
        options.set("qom-type", kind);
    }
    options.extend(Options::parse(if is_type { rest } else { text }).map_err(|error| Fault::new(error.to_string()))?);
    Ok(options)
}

/// Checks what an object is called.
fn check_id(id: &str) -> Result<(), Fault> {
    let known = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    if id.starts_with(|c: char| c.is_ascii_alphabetic()) && id.chars().all(known) {
        return Ok(());
    }
    let more = "Identifiers consist of letters, digits, '-', '.', '_', starting with a letter.";
    Err(Fault::new("Parameter 'id' expects an identifier").and(more))
}

/// The bytes of a secret.
fn bytes(options: &Options) -> Result<Vec<u8>, Fault> {
    let bytes = match (options.get("data"), options.get("file")) {
        (Some(text), None) => text.as_bytes().to_vec(),
        (None, Some(file)) => std::fs::read(Path::new(file)).map_err(|error| {
            let why = strerror(&error);
            Fault::new(format!("Unable to read {file}: Failed to open file \u{201c}{file}\u{201d}: {why}"))
        })?,
        (Some(_), Some(_)) => return Err(Fault::new("'file' and 'data' are mutually exclusive")),
        (None, None) => return Err(Fault::new("Either 'file' or 'data' must be provided")),
    };
    match options.get("format") {
        None | Some("raw") => Ok(bytes),
        Some("base64") => {
            STANDARD.decode(without_space(bytes)).map_err(|_| Fault::new("Base64 data contains invalid characters"))
        }
        Some(other) => Err(Fault::new(format!("Parameter 'format' does not accept value '{other}'"))),
    }
}

/// What is left without white space, which Base64 may have anywhere.
fn without_space(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.retain(|byte| !byte.is_ascii_whitespace());
    bytes
}

/// What a secret may have.
const KNOWN: [&str; 5] = ["id", "data", "file", "format", "qom-type"];
