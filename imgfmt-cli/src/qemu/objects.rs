//! `--object`: secrets, and nothing else.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use imgfmt::{Options, Secrets};

use super::fault::{Fault, strerror};
use super::getopt::Parsed;

/// The secrets that the command line defines.
pub(crate) fn secrets(parsed: &Parsed) -> Result<Secrets, Fault> {
    let mut secrets = Secrets::new();
    for object in parsed.all("object") {
        let text = object.to_string_lossy();
        let (kind, rest) = text.split_once(',').unwrap_or((&text, ""));
        let kind = kind.strip_prefix("qom-type=").unwrap_or(kind);
        if kind != "secret" {
            return Err(Fault::new(format!("Parameter 'qom-type' does not accept value '{kind}'")));
        }
        let options = Options::parse(rest).map_err(|error| Fault::new(error.to_string()))?;
        if let Some(name) = options.names().find(|name| !KNOWN.contains(name)) {
            return Err(Fault::new(format!("Invalid parameter '{name}'")));
        }
        let id = options.get("id").ok_or_else(|| Fault::new("Parameter 'id' is missing"))?;
        secrets.add(id, bytes(&options)?);
    }
    Ok(secrets)
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
