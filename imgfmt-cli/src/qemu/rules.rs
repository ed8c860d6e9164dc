//! What a new image cannot be, in the words that callers of `qemu-img` look for. What is not told here is the library's to
//! tell.

use super::fault::Fault;
use super::formats::{Known, PARALLELS, RAW};
use super::options::NewImage;
use crate::render::text::printable;

/// Checks the options of a new image.
pub(crate) fn check(new: &NewImage, format: &Known) -> Result<(), Fault> {
    let told = match format.name {
        RAW => of_raw(new),
        "qcow2" => of_qcow2(new),
        "vmdk" => of_vmdk(new),
        "vpc" | "vhdx" => of_vhd(new),
        PARALLELS => of_parallels(new),
        _ => None,
    };
    told.map_or(Ok(()), |what| Err(Fault::new(what)))
}

/// What is wrong with the options of a raw image.
fn of_raw(new: &NewImage) -> Option<String> {
    match new.given.get("preallocation")? {
        "off" | "falloc" | "full" => None,
        "metadata" => Some("Unsupported preallocation mode: metadata".to_owned()),
        other => Some(format!("invalid parameter value: {}", printable(other))),
    }
}

/// What is wrong with the options of a qcow2 image.
fn of_qcow2(new: &NewImage) -> Option<String> {
    let given = |name: &str| new.given.get(name);
    for (option, shown, words) in QCOW2_WORDS {
        if let Some(value) = given(option).filter(|value| !words.contains(value)) {
            return Some(refused(shown, value));
        }
    }
    let number = |name: &str| given(name).and_then(|value| value.parse::<u64>().ok());
    let is_on = |name: &str| matches!(given(name), Some("on" | "yes" | "true" | "y"));
    let is_old = matches!(given("compat"), Some("0.10" | "v2"));
    let says_how = new.given.names().any(|name| name.starts_with("encrypt."));
    if says_how && given("encrypt.format").is_none() && !is_on("encryption") {
        return Some("Parameter 'encrypt.format' is missing".to_owned());
    }
    let cluster = number("cluster_size").unwrap_or(DEFAULT_CLUSTER_LEN);
    let bits = number("refcount_bits").unwrap_or(DEFAULT_REFCOUNT_BITS);
    let needs_v3 = |what: &str, version: &str| {
        Some(format!("{what} compatibility level 1.1 {version} (use version=v3 or greater)"))
    };
    if !cluster.is_power_of_two() || !(512..=2 << 20).contains(&cluster) {
        return Some("Cluster size must be a power of two between 512 and 2048k".to_owned());
    }
    if is_on("extended_l2") && is_old {
        return needs_v3("Extended L2 entries are only supported with", "and above");
    }
    if is_on("extended_l2") && cluster < LEAST_EXTENDED_CLUSTER_LEN {
        let least = LEAST_EXTENDED_CLUSTER_LEN;
        return Some(format!("Extended L2 entries are only supported with cluster sizes of at least {least} bytes"));
    }
    if is_on("lazy_refcounts") && is_old {
        return needs_v3("Lazy refcounts only supported with", "and above");
    }
    if !bits.is_power_of_two() || bits > 64 {
        return Some("Refcount width must be a power of two and may not exceed 64 bits".to_owned());
    }
    if bits != DEFAULT_REFCOUNT_BITS && is_old {
        return needs_v3("Different refcount widths than 16 bits require", "or above");
    }
    match given("data_file") {
        None if is_on("data_file_raw") => return Some("data-file-raw requires data-file".to_owned()),
        Some("") => return Some("Could not create '': No such file or directory".to_owned()),
        Some(_) if is_old => return needs_v3("External data files are only supported with", "and above"),
        _ => {}
    }
    if given("compression_type").is_some_and(|kind| kind != "zlib") && is_old {
        return needs_v3("Non-zlib compression type is only supported with", "and above");
    }
    match given("encrypt.key-secret") {
        None if is_on("encryption") || given("encrypt.format").is_some() => {
            Some("Parameter 'encrypt.key-secret' is required for cipher".to_owned())
        }
        Some(_) if !is_on("encryption") && given("encrypt.format").is_none() => {
            Some("Parameter 'encrypt.format' is missing".to_owned())
        }
        _ => None,
    }
}

/// What is wrong with the options of a VMDK image.
fn of_vmdk(new: &NewImage) -> Option<String> {
    for (option, words) in VMDK_WORDS {
        if let Some(value) = new.given.get(option).filter(|value| !words.contains(value)) {
            return Some(format!("invalid parameter value: {}", printable(value)));
        }
    }
    None
}

/// What is wrong with the options of a VHD or VHDX image.
fn of_vhd(new: &NewImage) -> Option<String> {
    let value = new.given.get("subformat").filter(|value| !["dynamic", "fixed"].contains(value))?;
    Some(refused("subformat", value))
}

/// What is wrong with the options of a Parallels image.
fn of_parallels(new: &NewImage) -> Option<String> {
    let cluster: u64 = new.given.get("cluster_size")?.parse().ok()?;
    match cluster {
        0 => Some("Image size is too large for this cluster size".to_owned()),
        MANY_BYTES.. => Some("Cluster size is too large".to_owned()),
        _ => None,
    }
}

/// A word is none of those that an option takes.
fn refused(option: &str, value: &str) -> String {
    format!("Parameter '{option}' does not accept value '{}'", printable(value))
}

/// Words: an option, what it is called in an error, and what it takes.
type Words = (&'static str, &'static str, &'static [&'static str]);
/// The options of qcow2 that take words.
const QCOW2_WORDS: [Words; 4] = [
    ("compat", "version", &["0.10", "v2", "1.1", "v3"]),
    ("encrypt.format", "format", &["luks", "aes"]),
    ("preallocation", "preallocation", &["off", "metadata", "falloc", "full"]),
    ("compression_type", "compression-type", &["zlib", "zstd"]),
];
/// The options of VMDK that take words, with those that QEMU does not have.
const VMDK_WORDS: [(&str, &[&str]); 2] = [
    (
        "subformat",
        &[
            "monolithicSparse",
            "monolithicFlat",
            "twoGbMaxExtentSparse",
            "twoGbMaxExtentFlat",
            "streamOptimized",
            "vmfs",
        ],
    ),
    ("adapter_type", &["ide", "buslogic", "lsilogic", "legacyESX", "pvscsi"]),
];
/// The smallest cluster that is too large for a Parallels image.
const MANY_BYTES: u64 = i32::MAX as u64;
/// `cluster_size` where nothing is said, in bytes.
const DEFAULT_CLUSTER_LEN: u64 = 64 << 10;
/// `refcount_bits` where nothing is said.
const DEFAULT_REFCOUNT_BITS: u64 = 16;
/// The smallest cluster that has extended entries: of 32 subclusters of 512 bytes.
const LEAST_EXTENDED_CLUSTER_LEN: u64 = 16 << 10;
