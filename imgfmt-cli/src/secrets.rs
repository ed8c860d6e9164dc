//! `--object secret,...`: secrets that options name.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use imgfmt::{Options, Secrets};

use crate::failure::Failure;

/// The secrets that `objects` define, each as `secret,id=ID,data=TEXT` or `secret,id=ID,file=FILE`, with
/// `format=raw|base64`.
pub(crate) fn parse(objects: &[String]) -> Result<Secrets, Failure> {
    let mut secrets = Secrets::new();
    for object in objects {
        let usage = |what: &str| Failure::Usage(format!("--object {}: {what}", kind(object)));
        let Some(rest) = object.strip_prefix("secret,") else {
            return Err(usage("only secrets are known: secret,id=ID,file=FILE"));
        };
        let options = Options::parse(rest)?;
        if let Some(name) = options.names().find(|name| !["id", "data", "file", "format", "qom-type"].contains(name)) {
            return Err(usage(&format!("{name} is unknown; known are id, data, file and format")));
        }
        let id = options.get("id").ok_or_else(|| usage("a secret needs an id"))?;
        let bytes = match (options.get("data"), options.get("file")) {
            (Some(text), None) => text.as_bytes().to_vec(),
            (None, Some(file)) => read(Path::new(file))?,
            _ => return Err(usage("a secret needs either data or a file")),
        };
        let bytes = match options.get("format") {
            None | Some("raw") => bytes,
            Some("base64") => {
                STANDARD.decode(bytes.trim_ascii()).map_err(|_| usage("the secret is not base64, as format says"))?
            }
            Some(_) => return Err(usage("format is neither raw nor base64")),
        };
        secrets.add(id, bytes);
    }
    Ok(secrets)
}

/// The bytes of a secret's file.
fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(file)
        .map_err(|e| imgfmt::Error::io(format!("cannot read the secret in {}", file.display()), e).into())
}

/// What an object is, without what it holds.
fn kind(object: &str) -> &str {
    object.split(',').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_text_files_or_base64() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "from a file").unwrap();
        let objects = [
            "secret,id=a,data=plain".to_owned(),
            format!("secret,id=b,file={}", file.path().display()),
            "secret,id=c,data=aHVudGVyMg==,format=base64".to_owned(),
        ];
        let secrets = parse(&objects).unwrap();
        assert_eq!(secrets.get("a").unwrap(), b"plain");
        assert_eq!(secrets.get("b").unwrap(), b"from a file");
        assert_eq!(secrets.get("c").unwrap(), b"hunter2");
        for wrong in
            ["rng-random,id=a", "secret,data=x", "secret,id=a", "secret,id=a,data=x,file=y", "secret,id=a,dat=x"]
        {
            assert!(parse(&[wrong.to_owned()]).is_err(), "{wrong}");
        }
    }
}
