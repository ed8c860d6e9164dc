//! What a new appliance is to be.

use std::ffi::OsStr;
use std::path::Path;

use imgfmt_core::{CreateRequest, Error, OptionSpec, Options, Result};

use crate::manifest::Algorithm;

/// The options of a new appliance, parsed.
pub(super) struct Settings {
    /// The name of the virtual machine.
    pub(super) name: String,
    /// The name again, as the start of the names of files: letters, digits and a few signs.
    pub(super) file_stem: String,
    /// The operating system.
    pub(super) os: OperatingSystem,
    /// Memory in MiB.
    pub(super) memory_mib: u64,
    /// Virtual processors.
    pub(super) cpus: i64,
    /// What the disk hangs on.
    pub(super) adapter: Adapter,
    /// How files are hashed for the manifest.
    pub(super) manifest: Algorithm,
    /// Options that the disk's own format takes, as the caller says.
    passed: Vec<(&'static str, String)>,
}

/// An operating system as OVF names it.
#[derive(Clone, Copy)]
pub(super) struct OperatingSystem {
    /// `OsType` of CIM_OperatingSystem.
    pub(super) id: i64,
    /// VMware's name, where it has one.
    pub(super) vmware: Option<&'static str>,
    /// The name for people.
    pub(super) text: &'static str,
}

/// A controller as OVF names it.
#[derive(Clone, Copy)]
pub(super) struct Adapter {
    /// `ResourceType` of CIM_ResourceAllocationSettingData.
    pub(super) resource_type: u32,
    /// `ResourceSubType`, where there are several.
    pub(super) kind: Option<&'static str>,
    /// The name for people.
    pub(super) text: &'static str,
    /// The option of the disk's own format that goes with it.
    disk: &'static str,
}

impl Settings {
    /// Parses the options of a request.
    ///
    /// # Errors
    ///
    /// [`Invalid`](imgfmt_core::ErrorKind::Invalid) for unknown options and values.
    pub(super) fn parse(request: &CreateRequest<'_>) -> Result<Self> {
        let options = request.options;
        options.check(OPTIONS)?;
        let name = match options.get("name") {
            Some("") => return Err(Error::invalid("name is empty")),
            Some(name) => name.to_owned(),
            None => name_of(request.file_name),
        };
        if name.chars().any(char::is_control) {
            return Err(Error::invalid("name has control characters in it"));
        }
        Ok(Self {
            file_stem: file_stem(&name),
            name,
            os: operating_system(options)?,
            memory_mib: memory_mib(options)?,
            cpus: cpus(options)?,
            adapter: options.word("adapter", &ADAPTERS, ADAPTERS[0].1)?,
            manifest: options.word("manifest", &MANIFESTS, MANIFESTS[0].1)?,
            passed: PASSED.iter().filter_map(|&name| Some((name, options.get(name)?.to_owned()))).collect(),
        })
    }

    /// The options of the disk's own format.
    pub(super) fn disk_options(&self) -> Options {
        let mut options = Options::new();
        options.set("subformat", "streamOptimized");
        options.set("adapter_type", self.adapter.disk);
        for (name, value) in &self.passed {
            options.set(name, value);
        }
        options
    }
}

/// The name of the virtual machine in a file of that name.
fn name_of(file_name: Option<&OsStr>) -> String {
    let stem = file_name.and_then(|name| Path::new(name).file_stem()).map(|stem| stem.to_string_lossy().into_owned());
    stem.map(|stem| stem.replace(char::is_control, "_")).filter(|stem| !stem.is_empty()).unwrap_or("disk".to_owned())
}

/// A name as the start of the names of files in the archive.
fn file_stem(name: &str) -> String {
    let sign = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' };
    let stem: String = name.chars().take(STEM_MAX).map(sign).collect();
    // Names that begin with a dot are hidden, or lead elsewhere.
    let stem = stem.trim_start_matches('.');
    if stem.is_empty() { "disk".to_owned() } else { stem.to_owned() }
}

/// The operating system: one of a few words, or a number of CIM.
fn operating_system(options: &Options) -> Result<OperatingSystem> {
    let number = options.get("os").and_then(|os| os.parse().ok()).filter(|id| (0..=i64::from(u16::MAX)).contains(id));
    match number {
        Some(id) => Ok(OperatingSystem { id, vmware: None, text: "Operating system" }),
        None => options.word("os", &SYSTEMS, SYSTEMS[0].1),
    }
}

/// Memory in MiB.
fn memory_mib(options: &Options) -> Result<u64> {
    let bytes = options.size("memory", DEFAULT_MEMORY)?;
    if bytes == 0 || !bytes.is_multiple_of(1 << 20) {
        return Err(Error::invalid(format!("memory is {bytes} bytes, which are no whole MiB")));
    }
    Ok(bytes >> 20)
}

/// Virtual processors.
fn cpus(options: &Options) -> Result<i64> {
    let cpus = options.number("cpus")?.unwrap_or(1);
    if !(1..=CPUS_MAX).contains(&cpus) {
        return Err(Error::invalid(format!("cpus is {cpus}, outside 1..={CPUS_MAX}")));
    }
    Ok(cpus)
}

/// The options of an appliance.
pub(super) const OPTIONS: &[OptionSpec] = &[
    OptionSpec { name: "name", values: "TEXT", default: "that of the file", help: "name of the virtual machine" },
    OptionSpec {
        name: "os",
        values: "other|linux|ubuntu|debian|rhel|centos|windows|NUM",
        default: "other",
        help: "operating system, or its number in CIM",
    },
    OptionSpec { name: "memory", values: "SIZE", default: "1G", help: "memory of the virtual machine" },
    OptionSpec { name: "cpus", values: "NUM", default: "1", help: "processors of the virtual machine" },
    OptionSpec {
        name: "adapter",
        values: "lsilogic|pvscsi|buslogic|sata|ide",
        default: "lsilogic",
        help: "controller of the disk",
    },
    OptionSpec {
        name: "manifest",
        values: "sha256|sha1",
        default: "sha256",
        help: "hashes of the files; old readers know sha1 alone",
    },
    OptionSpec {
        name: "compression_level",
        values: "NUM",
        default: "that of VMDK",
        help: "how hard the disk is compressed",
    },
    OptionSpec { name: "cid", values: "HEX", default: "that of VMDK", help: "content identity of the disk" },
];

/// Options that are handed to the disk's own format.
const PASSED: [&str; 2] = ["compression_level", "cid"];

/// Operating systems by their words: 64-bit ones, as nothing else is exported today.
const SYSTEMS: [(&str, OperatingSystem); 7] = [
    ("other", OperatingSystem { id: 102, vmware: Some("otherGuest64"), text: "Other (64-bit)" }),
    ("linux", OperatingSystem { id: 101, vmware: Some("otherLinux64Guest"), text: "Linux (64-bit)" }),
    ("ubuntu", OperatingSystem { id: 94, vmware: Some("ubuntu64Guest"), text: "Ubuntu (64-bit)" }),
    ("debian", OperatingSystem { id: 96, vmware: Some("debian8_64Guest"), text: "Debian (64-bit)" }),
    ("rhel", OperatingSystem { id: 80, vmware: Some("rhel7_64Guest"), text: "Red Hat Enterprise Linux (64-bit)" }),
    ("centos", OperatingSystem { id: 107, vmware: Some("centos64Guest"), text: "CentOS (64-bit)" }),
    ("windows", OperatingSystem { id: 103, vmware: Some("windows7Server64Guest"), text: "Windows Server (64-bit)" }),
];

/// Hashes by their words.
const MANIFESTS: [(&str, Algorithm); 2] = [("sha256", Algorithm::Sha256), ("sha1", Algorithm::Sha1)];

/// Controllers by their words.
const ADAPTERS: [(&str, Adapter); 5] = [
    ("lsilogic", Adapter { resource_type: 6, kind: Some("lsilogic"), text: "SCSI Controller", disk: "lsilogic" }),
    ("pvscsi", Adapter { resource_type: 6, kind: Some("VirtualSCSI"), text: "SCSI Controller", disk: "lsilogic" }),
    ("buslogic", Adapter { resource_type: 6, kind: Some("buslogic"), text: "SCSI Controller", disk: "buslogic" }),
    ("sata", Adapter { resource_type: 20, kind: Some("AHCI"), text: "SATA Controller", disk: "ide" }),
    ("ide", Adapter { resource_type: 5, kind: None, text: "IDE Controller", disk: "ide" }),
];

/// Memory where the caller says nothing: 1 GiB.
const DEFAULT_MEMORY: u64 = 1 << 30;
/// Most processors of a virtual machine: those of current hypervisors.
const CPUS_MAX: i64 = 768;
/// Most characters of the start of a file name, so that it fits into a header of 100 bytes with its ending.
const STEM_MAX: usize = 80;
