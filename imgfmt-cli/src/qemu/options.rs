//! `-o`: the options of a new image.

use std::ffi::OsStr;
use std::path::PathBuf;

use imgfmt::{OptionSpec, Options};

use super::fault::Fault;
use super::formats::{Known, PARALLELS, RAW};
use super::getopt::Parsed;
use super::names::{self, Meaning};
use super::sizes::{self, Wrong};
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
    // Two commas are one in a value, and part nothing.
    let is_help =
        |text: &OsStr| text.to_string_lossy().replace(",,", "\0").split(',').any(|part| part == "help" || part == "?");
    parsed.all("options").any(is_help)
}

impl NewImage {
    /// What the command line says of a new image of the format.
    pub(crate) fn new(parsed: &Parsed, format: &Known) -> Result<Self, Fault> {
        let mut new = Self::default();
        let known = imgfmt::options_of(format.library).unwrap_or_default();
        let given = given(parsed)?;
        for name in given.names() {
            let (name, value) = settled(name, given.get(name).unwrap_or_default(), known)?;
            new.given.set(name, &value);
            match name {
                "backing_file" => new.backing = Some(value.into()),
                "backing_fmt" => new.backing_format = Some(value),
                "size" => new.size = value.parse().ok(),
                // Hints to file systems that this program does not give.
                "nocow" | "extent_size_hint" => {}
                "preallocation" if value == "off" => new.options.set(name, &value),
                _ if known.iter().any(|spec| spec.name == name) => new.options.set(name, &value),
                "preallocation" => return Err(Fault::new(format!("Unsupported preallocation mode '{value}'"))),
                _ => return Err(Fault::new(format!("Invalid parameter '{}'", printable(name)))),
            }
        }
        if known.iter().all(|spec| spec.name != "preallocation") {
            new.options = without(&new.options, "preallocation");
        }
        if let Some(name) = parsed.get("backing") {
            new.backing = Some(name.into());
            new.given.set("backing_file", &name.to_string_lossy());
        }
        if let Some(name) = parsed.get("backing-format") {
            new.backing_format = Some(name.to_string_lossy().into_owned());
            new.given.set("backing_fmt", &name.to_string_lossy());
        }
        if new.backing.as_ref().is_some_and(|name| name.as_os_str().is_empty()) {
            return Err(Fault::new("Expected backing file name, got empty string"));
        }
        let unchecked = parsed.has("backing-unsafe");
        new.backing = new.backing.map(|name| stored_name(name.as_os_str(), unchecked)).transpose()?;
        // QEMU takes it, and uses it, where there is something to hash.
        for (hash, alg) in IVGEN_HASHES {
            if new.options.get(hash).is_some() && new.options.get(alg) != Some("essiv") {
                new.options = without(&new.options, hash);
            }
        }
        for name in ["encrypt.iter-time", "iter-time"] {
            // The least number of hashes, for QEMU.
            if new.options.get(name) == Some("0") {
                new.options.set(name, "1");
            }
        }
        if format.name == "vhdx" {
            new.settle_vhdx();
        }
        // QEMU rounds up to whole cylinders unless it is told not to.
        if format.name == "vpc" && given.get("force_size").is_none() {
            new.options.set("force_size", "off");
        }
        Ok(new)
    }
}

impl NewImage {
    /// Sizes of a VHDX image as QEMU takes them: it rounds up, and has no block above the largest.
    fn settle_vhdx(&mut self) {
        let rounded = |options: &Options, name: &str| {
            let size = options.get(name).and_then(|text| text.parse::<u64>().ok()).filter(|size| *size > 0)?;
            size.checked_next_multiple_of(MIB)
        };
        if let Some(size) = rounded(&self.options, "log_size") {
            self.options.set("log_size", &size.to_string());
        }
        if let Some(size) = rounded(&self.options, "block_size") {
            self.options.set("block_size", &size.min(MAX_VHDX_BLOCK).to_string());
        }
    }
}

/// Checks that lists of options neither are empty nor begin or end with a comma that separates nothing.
pub(crate) fn check_lists(parsed: &Parsed) -> Result<(), Fault> {
    for text in parsed.all("options") {
        let text = text.to_str().ok_or_else(|| Fault::new("Invalid options: they are no UTF-8"))?;
        let commas = text.len() - text.trim_end_matches(',').len();
        if text.is_empty() || text.starts_with(',') || commas % 2 != 0 {
            return Err(Fault::new(format!("Invalid option list: {}", printable(text))));
        }
    }
    Ok(())
}

/// All options that were given, as they were given.
pub(crate) fn given(parsed: &Parsed) -> Result<Options, Fault> {
    check_lists(parsed)?;
    let mut given = Options::new();
    for text in parsed.all("options") {
        given.extend(Options::parse(&text.to_string_lossy()).map_err(|_| Fault::new("Invalid parameter ''"))?);
    }
    Ok(given)
}

/// An option by its own name, with a value that the library reads as QEMU would.
fn settled<'a>(name: &'a str, value: &str, known: &[OptionSpec]) -> Result<(&'a str, String), Fault> {
    let values = |name: &str| match name {
        "size" | "extent_size_hint" => Some("SIZE"),
        "nocow" => Some("on|off"),
        _ => known.iter().find(|spec| spec.name == name).map(|spec| spec.values),
    };
    // Without a value, a name behind "no" is one that is off.
    let negated =
        name.strip_prefix("no").filter(|rest| value == "on" && values(name).is_none() && values(rest).is_some());
    let (name, value) = negated.map_or((name, value), |rest| (rest, "off"));
    let settled = match values(name) {
        Some("SIZE") => size(name, value)?.to_string(),
        Some(values) if values == "NUM" || is_list_of_numbers(values) => number(name, value)?,
        Some("on|off") if !FLAGS.contains(&value) => {
            return Err(Fault::new(format!("Parameter '{name}' expects 'on' or 'off'")));
        }
        _ => value.to_owned(),
    };
    Ok((name, settled))
}

/// Whether an option takes one of a few numbers.
fn is_list_of_numbers(values: &str) -> bool {
    values.split('|').all(|value| value.parse::<u64>().is_ok())
}

/// A number, in decimal digits.
fn number(name: &str, text: &str) -> Result<String, Fault> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    let value = digits.map_or_else(|| text.parse::<i64>(), |digits| i64::from_str_radix(digits, 16));
    value.map(|value| value.to_string()).map_err(|_| Fault::new(format!("Parameter '{name}' expects a number")))
}

/// Whether an option of a specification is about which bytes of a file are meant, so that its name alone does not do.
fn is_about_a_part(name: &str) -> bool {
    ["offset", "size", "file.offset", "file.size"].contains(&name) || name.starts_with("file.file.")
}

/// The name of the file that an image is to build on, as it is stored. One that nobody looks at may be any address.
pub(crate) fn stored_name(name: &OsStr, unchecked: bool) -> Result<PathBuf, Fault> {
    match backing_name(name) {
        Err(_) if unchecked && !name.as_encoded_bytes().starts_with(b"json:") => Ok(PathBuf::from(name)),
        found => found,
    }
}

/// The file that a new image is to build on: its name, also where it is named by an address or a specification. Only a
/// name is ever stored in an image.
pub(crate) fn backing_name(name: &OsStr) -> Result<PathBuf, Fault> {
    let cannot = |what: &str| Fault::new(format!("Could not open '{}': {what}", name.to_string_lossy()));
    match names::meaning(name)? {
        Meaning::File(path) => Ok(path),
        Meaning::Remote(_) => Err(cannot("an image builds on a file, and a name in it is never an address")),
        Meaning::Options(list) => {
            if let Some((other, _)) = list.iter().find(|(name, _)| is_about_a_part(name)) {
                return Err(cannot(&format!("'{other}' is not supported for a backing file: only its name is stored")));
            }
            let found = list.into_iter().find(|(name, _)| name == "file.filename" || name == "filename");
            found.map(|(_, path)| PathBuf::from(path)).ok_or_else(|| cannot("Must specify either driver or file"))
        }
    }
}

/// The value of the option `name`, which is a size.
pub(crate) fn size(name: &str, text: &str) -> Result<u64, Fault> {
    sizes::bytes(text).map_err(|wrong| match wrong {
        Wrong::Range => Fault::new(format!("Value '{}' is out of range for parameter '{name}'", printable(text))),
        Wrong::Text => Fault::new(format!(
            "Parameter '{name}' expects a non-negative number below 2^64\nOptional suffix k, M, G, T, P or E means \
             kilo-, mega-, giga-, tera-, peta-\nand exabytes, respectively."
        )),
    })
}

/// The options without one.
pub(crate) fn without(options: &Options, name: &str) -> Options {
    let mut others = Options::new();
    for other in options.names().filter(|other| *other != name) {
        others.set(other, options.get(other).unwrap_or_default());
    }
    others
}

/// What `create` prints of a new image: its options with their defaults, in the order in which QEMU has them. The format is
/// called as it was given.
pub(crate) fn formatting(name: &str, (fmt, format): (&str, &Known), new: &NewImage, size: u64) -> String {
    let mut text = format!("Formatting '{name}', fmt={fmt}");
    for (key, default) in PRINTED.iter().find(|(name, _)| *name == format.name).map_or(&[][..], |(_, list)| list) {
        let value = match *key {
            "size" => size.to_string(),
            _ => match new.given.get(key).or((!default.is_empty()).then_some(*default)) {
                Some(value) => value.replace(',', ",,"),
                None => continue,
            },
        };
        text.push_str(&format!(" {key}={}", printable(&value)));
    }
    text
}

/// The options for the hash of one way to make initial vectors, and those for the way.
const IVGEN_HASHES: [(&str, &str); 2] =
    [("encrypt.ivgen-hash-alg", "encrypt.ivgen-alg"), ("ivgen-hash-alg", "ivgen-alg")];
/// The unit of sizes in a VHDX image, MS-VHDX 2.6.
const MIB: u64 = 1 << 20;
/// The largest block of a VHDX image, MS-VHDX 2.6.2.1.
const MAX_VHDX_BLOCK: u64 = 256 << 20;
/// The words of options that are on or off.
pub(crate) const FLAGS: [&str; 8] = ["on", "off", "yes", "no", "true", "false", "y", "n"];
/// An option and its default, where that is printed.
type Printed = (&'static str, &'static str);
/// What is printed of the options of each format.
const PRINTED: [(&str, &[Printed]); 8] = [
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
            ("nocow", ""),
            ("extent_size_hint", ""),
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
            ("preallocation", ""),
            ("nocow", ""),
            ("extent_size_hint", ""),
        ],
    ),
    (
        "luks",
        &[
            ("size", ""),
            ("key-secret", ""),
            ("cipher-alg", ""),
            ("cipher-mode", ""),
            ("ivgen-alg", ""),
            ("ivgen-hash-alg", ""),
            ("hash-alg", ""),
            ("iter-time", ""),
        ],
    ),
    ("vdi", &[("size", ""), ("static", "off")]),
    (PARALLELS, &[("size", ""), ("cluster_size", "1048576")]),
    ("vpc", &[("size", ""), ("subformat", ""), ("force_size", "")]),
    (
        "vhdx",
        &[("size", ""), ("log_size", "1048576"), ("block_size", "0"), ("subformat", ""), ("block_state_zero", "")],
    ),
];
