//! Options that several commands take, and what follows from them.

use std::ffi::OsStr;

use super::fault::Fault;
use super::getopt::{Opt, Parsed};

/// Help, which every command has.
pub(crate) const HELP: Opt = Opt { short: Some('h'), long: "help", value: "", help: "print this help and exit" };
/// Printing nothing but errors.
pub(crate) const QUIET: Opt = Opt { short: Some('q'), long: "quiet", value: "", help: "print nothing but errors" };
/// Progress.
pub(crate) const PROGRESS: Opt =
    Opt { short: Some('p'), long: "progress", value: "", help: "show on standard output how far it is" };
/// The format of the image.
pub(crate) const FORMAT: Opt =
    Opt { short: Some('f'), long: "format", value: "FMT", help: "the format of the image; probed without it" };
/// A specification in the place of a file's name.
pub(crate) const IMAGE_OPTS: Opt = Opt {
    short: None,
    long: "image-opts",
    value: "",
    help: "images are given as driver=FMT,file.filename=FILE,... and not with -f",
};
/// Secrets.
pub(crate) const OBJECT: Opt = Opt {
    short: None,
    long: "object",
    value: "OBJECT",
    help: "a secret that options may name: secret,id=ID,file=FILE (or data=TEXT)[,format=raw|base64]; repeatable",
};
/// Looking at images that others write.
pub(crate) const FORCE_SHARE: Opt =
    Opt { short: Some('U'), long: "force-share", value: "", help: "open images also while others write to them" };
/// How an answer is printed.
pub(crate) const OUTPUT: Opt =
    Opt { short: None, long: "output", value: "human|json", help: "how the answer is printed; for people without it" };
/// The cache mode of an image that is read.
pub(crate) const SOURCE_CACHE: Opt = Opt {
    short: Some('T'),
    long: "cache",
    value: "CACHE",
    help: "the cache mode; known and checked, but reading always goes through the system's cache",
};
/// The cache mode of an image that is changed.
pub(crate) const CACHE: Opt = Opt {
    short: Some('t'),
    long: "cache",
    value: "CACHE",
    help: "the cache mode; known and checked: what is changed in place is always flushed",
};

/// How an answer is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// For people.
    Human,
    /// For programs.
    Json,
}

/// How the answer is to be printed.
pub(crate) fn form(command: &str, parsed: &Parsed) -> Result<Form, Fault> {
    match parsed.get("output").map(OsStr::to_string_lossy).as_deref() {
        None | Some("human") => Ok(Form::Human),
        Some("json") => Ok(Form::Json),
        Some(other) => Err(Fault::usage(command, format!("--output expects 'human' or 'json' not '{other}'"))),
    }
}

/// The only operand.
pub(crate) fn only<'a>(command: &str, parsed: &'a Parsed) -> Result<&'a OsStr, Fault> {
    match parsed.operands.as_slice() {
        [one] => Ok(one),
        _ => Err(Fault::usage(command, "Expecting one image file name")),
    }
}

/// Checks the cache mode of an image that is read.
pub(crate) fn check_source_cache(parsed: &Parsed, option: &str) -> Result<(), Fault> {
    cache(parsed, option, "writeback", "Invalid source cache option").map(drop)
}

/// Whether what is written is to be on the medium when the command ends.
pub(crate) fn is_flushed(parsed: &Parsed, option: &str, default: &str) -> Result<bool, Fault> {
    Ok(cache(parsed, option, default, "Invalid cache option")? != "unsafe")
}

/// A cache mode.
fn cache(parsed: &Parsed, option: &str, default: &str, wrong: &str) -> Result<String, Fault> {
    let mode = parsed.get(option).map_or(default.into(), OsStr::to_string_lossy).into_owned();
    if CACHE_MODES.contains(&mode.as_str()) { Ok(mode) } else { Err(Fault::new(format!("{wrong}: {mode}"))) }
}

/// The cache modes by QEMU's names.
const CACHE_MODES: [&str; 6] = ["none", "off", "writeback", "writethrough", "directsync", "unsafe"];
