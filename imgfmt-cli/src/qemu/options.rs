//! `-o`: the options of a new image.

use std::ffi::OsStr;
use std::path::PathBuf;

use imgfmt::Options;
use imgfmt::options::parse_size;

use super::fault::Fault;
use super::formats::{Known, RAW};
use super::getopt::Parsed;
use super::names::{self, Meaning};
use crate::render::text::printable;

/// What the options say of a new image.
#[derive(Debug, Default)]
pub(crate) struct NewImage {
    /// The options that the library's format has.
    pub(crate) options: Options,
    /// The options as they were given, for what is printed.
    pub(crate) given: Options,
    /// The name of the file that it builds on.
    pub(crate) backing: Option<PathBuf>,
    /// The name of that file's format.
    pub(crate) backing_format: Option<String>,
    /// The size.
    pub(crate) size: Option<u64>,
}

/// Whether a list of options is asked for, in the place of options.
pub(crate) fn asks_help(parsed: &Parsed) -> bool {
    let is_help = |text: &OsStr| text.to_string_lossy().split(',').any(|part| part == "help" || part == "?");
    parsed.all("options").any(is_help)
}

impl NewImage {
    /// What the command line says of a new image of the format.
    pub(crate) fn new(parsed: &Parsed, format: &Known) -> Result<Self, Fault> {
        let mut new = Self::default();
        for text in parsed.all("options") {
            let text = text.to_str().ok_or_else(|| Fault::new("Invalid options: they are no UTF-8"))?;
            new.given.extend(Options::parse(text).map_err(|error| Fault::new(error.to_string()))?);
        }
        let known = imgfmt::options_of(format.library).unwrap_or_default();
        let given = new.given.clone();
        for name in given.names() {
            let value = given.get(name).unwrap_or_default();
            match name {
                "backing_file" => new.backing = Some(backing_name(OsStr::new(value))?),
                "backing_fmt" => new.backing_format = Some(value.to_owned()),
                "size" => new.size = Some(size(value)?),
                // Hints to file systems that this program does not give.
                "nocow" | "extent_size_hint" => {}
                "preallocation" if value == "off" => new.options.set(name, value),
                _ if known.iter().any(|spec| spec.name == name) => new.options.set(name, value),
                "preallocation" => return Err(Fault::new(format!("Unsupported preallocation mode '{value}'"))),
                _ => return Err(Fault::new(format!("Invalid parameter '{}'", printable(name)))),
            }
        }
        if known.iter().all(|spec| spec.name != "preallocation") {
            new.options = without(&new.options, "preallocation");
        }
        if let Some(name) = parsed.get("backing") {
            new.backing = Some(backing_name(name)?);
            new.given.set("backing_file", &name.to_string_lossy());
        }
        if let Some(name) = parsed.get("backing-format") {
            new.backing_format = Some(name.to_string_lossy().into_owned());
            new.given.set("backing_fmt", &name.to_string_lossy());
        }
        // QEMU takes it, and uses it, where there is something to hash.
        if new.options.get(IVGEN_HASH).is_some() && new.options.get("encrypt.ivgen-alg") != Some("essiv") {
            new.options = without(&new.options, IVGEN_HASH);
        }
        // QEMU rounds up to whole cylinders unless it is told not to.
        if format.name == "vpc" && given.get("force_size").is_none() {
            new.options.set("force_size", "off");
        }
        Ok(new)
    }

    /// Checks the word about preallocation, by which callers know that they have to do without.
    pub(crate) fn check_preallocation(&self, format: &Known) -> Result<(), Fault> {
        let Some(mode) = self.given.get("preallocation") else { return Ok(()) };
        if !["off", "metadata", "falloc", "full"].contains(&mode) {
            return Err(Fault::new(format!("invalid parameter value: {}", printable(mode))));
        }
        if format.name == RAW && mode == "metadata" {
            return Err(Fault::new(format!("Unsupported preallocation mode '{mode}'")));
        }
        Ok(())
    }
}

/// The file that a new image is to build on: its name, also where it is named by an address or a specification. Only a
/// name is ever stored in an image.
pub(crate) fn backing_name(name: &OsStr) -> Result<PathBuf, Fault> {
    match names::meaning(name)? {
        Meaning::File(path) => Ok(path),
        Meaning::Options(list) => {
            let found = list.into_iter().find(|(name, _)| name == "file.filename" || name == "filename");
            found.map(|(_, path)| PathBuf::from(path)).ok_or_else(|| {
                Fault::new(format!("Could not open '{}': Must specify either driver or file", name.to_string_lossy()))
            })
        }
    }
}

/// The value of the option `size`.
fn size(text: &str) -> Result<u64, Fault> {
    parse_size(text).map_err(|_| {
        Fault::new(
            "Parameter 'size' expects a non-negative number below 2^64\nOptional suffix k, M, G, T, P or E means \
             kilo-, mega-, giga-, tera-, peta-\nand exabytes, respectively.",
        )
    })
}

/// The options without one.
fn without(options: &Options, name: &str) -> Options {
    let mut others = Options::new();
    for other in options.names().filter(|other| *other != name) {
        others.set(other, options.get(other).unwrap_or_default());
    }
    others
}

/// What `create` prints of a new image: its options with their defaults, in the order in which QEMU has them.
pub(crate) fn formatting(name: &str, format: &Known, new: &NewImage, size: u64) -> String {
    let mut text = format!("Formatting '{name}', fmt={}", format.name);
    for (key, default) in PRINTED.iter().find(|(name, _)| *name == format.name).map_or(&[][..], |(_, list)| list) {
        let value = match *key {
            "size" => size.to_string(),
            _ => match new.given.get(key).or((!default.is_empty()).then_some(*default)) {
                Some(value) if SIZES.contains(key) => {
                    parse_size(value).map_or_else(|_| value.to_owned(), |n| n.to_string())
                }
                Some(value) => value.replace(',', ",,"),
                None => continue,
            },
        };
        text.push_str(&format!(" {key}={}", printable(&value)));
    }
    text
}

/// The option for the hash of one way to make initial vectors.
const IVGEN_HASH: &str = "encrypt.ivgen-hash-alg";
/// Options that are sizes, and printed as numbers.
const SIZES: [&str; 4] = ["cluster_size", "block_size", "log_size", "extent_size_hint"];
/// An option and its default, where that is printed.
type Printed = (&'static str, &'static str);
/// What is printed of the options of each format.
const PRINTED: [(&str, &[Printed]); 6] = [
    (RAW, &[("size", ""), ("preallocation", ""), ("nocow", ""), ("extent_size_hint", "")]),
    (
        "qcow2",
        &[
            ("encryption", ""),
            ("encrypt.format", ""),
            ("encrypt.key-secret", ""),
            ("encrypt.cipher-alg", ""),
            ("encrypt.cipher-mode", ""),
            ("encrypt.ivgen-alg", ""),
            ("encrypt.ivgen-hash-alg", ""),
            ("encrypt.hash-alg", ""),
            ("encrypt.iter-time", ""),
            ("cluster_size", "65536"),
            ("extended_l2", "off"),
            ("preallocation", ""),
            ("compression_type", "zlib"),
            ("size", ""),
            ("compat", ""),
            ("backing_file", ""),
            ("backing_fmt", ""),
            ("data_file", ""),
            ("data_file_raw", ""),
            ("lazy_refcounts", "off"),
            ("refcount_bits", "16"),
        ],
    ),
    (
        "vmdk",
        &[
            ("size", ""),
            ("adapter_type", ""),
            ("backing_file", ""),
            ("backing_fmt", ""),
            ("compat6", "off"),
            ("hwversion", "undefined"),
            ("toolsversion", ""),
            ("subformat", ""),
            ("zeroed_grain", ""),
        ],
    ),
    ("vdi", &[("size", ""), ("static", "off")]),
    ("vpc", &[("size", ""), ("subformat", ""), ("force_size", "")]),
    (
        "vhdx",
        &[("size", ""), ("log_size", "1048576"), ("block_size", "0"), ("subformat", ""), ("block_state_zero", "")],
    ),
];
