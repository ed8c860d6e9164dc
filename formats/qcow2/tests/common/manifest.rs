//! What the tests over manifests share.

use imgfmt_core::Error;
use serde_json::Value;

/// The messages of an error and of all that lie below it.
pub(crate) fn messages(error: &Error) -> String {
    let mut all = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(below) = source {
        all = format!("{all}: {below}");
        source = below.source();
    }
    all
}

/// Text in a manifest.
pub(crate) fn text<'a>(entry: &'a Value, key: &str) -> Option<&'a str> {
    entry.get(key)?.as_str()
}
