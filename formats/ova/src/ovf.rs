//! The description of an appliance: DSP0243, "Open Virtualization Format Specification", 1.1.1 and 2.1.
//!
//! | Element             | Attributes that count                                                      | Spec (1.1.1) |
//! |---------------------|----------------------------------------------------------------------------|--------------|
//! | `References/File`   | `id`, `href`, `size`, `compression`, `chunkSize`                           | §7.1         |
//! | `DiskSection/Disk`  | `diskId`, `fileRef`, `capacity`, `capacityAllocationUnits`, `format`, `populatedSize`, `parentRef` | §9.1 |
//! | `VirtualSystem`     | `id`; its name, product, operating system and hardware, to be shown         | §7.2, §8     |
//!
//! Elements and attributes are known by their namespace: any of the editions', and none for attributes. The sections of
//! edition 0.9, `Section` with an `xsi:type`, are read as the elements that they became.

mod system;
mod units;
mod xml;

use imgfmt_core::{Error, Limits, Result};
use serde_json::{Map, Value};
use units::bytes_of;
use xml::Element;

/// What a description says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Envelope {
    /// The files that belong to the appliance.
    pub(crate) files: Vec<File>,
    /// The virtual disks, in order.
    pub(crate) disks: Vec<Disk>,
    /// What it says about the virtual machines, to be shown.
    pub(crate) systems: Vec<Map<String, Value>>,
}

/// A file of the appliance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct File {
    /// By what disks refer to it.
    pub(crate) id: String,
    /// Its name, as a relative URL.
    pub(crate) href: String,
    /// Its bytes.
    pub(crate) size: Option<u64>,
    /// How it is compressed as a whole, if it is.
    pub(crate) compression: Option<String>,
    /// Bytes of each of its parts, where it is stored in parts.
    pub(crate) chunk_size: Option<u64>,
}

/// A virtual disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Disk {
    /// Its name within the description.
    pub(crate) id: String,
    /// The file that has its content; nothing for an empty disk.
    pub(crate) file_ref: Option<String>,
    /// Guest bytes, where they are a number.
    pub(crate) capacity: Option<u64>,
    /// The format of the file, as a URI.
    pub(crate) format: Option<String>,
    /// The disk that it builds on.
    pub(crate) parent_ref: Option<String>,
}

impl Envelope {
    /// Parses a description.
    ///
    /// # Errors
    ///
    /// [`Malformed`](imgfmt_core::ErrorKind::Malformed), [`Unsupported`](imgfmt_core::ErrorKind::Unsupported) for other
    /// documents and document types, [`LimitExceeded`](imgfmt_core::ErrorKind::LimitExceeded).
    pub(crate) fn parse(bytes: &[u8], limits: &Limits) -> Result<Self> {
        let root = Element::parse(bytes, limits)?;
        if !root.is("Envelope") {
            return Err(Error::unsupported("the document is no OVF envelope"));
        }
        let files = root.path(&["References", "File"]).map(File::of).collect::<Result<Vec<_>>>()?;
        let disks = root.path(&["DiskSection", "Disk"]).map(Disk::of).collect::<Result<Vec<_>>>()?;
        Limits::check("References", files.len() as u64, limits.extents as u64)?;
        Limits::check("DiskSection", disks.len() as u64, limits.extents as u64)?;
        check_unique("File id", files.iter().map(|file| &file.id))?;
        check_unique("Disk diskId", disks.iter().map(|disk| &disk.id))?;
        Ok(Self { files, disks, systems: system::describe(&root) })
    }

    /// The file that a disk refers to as `id`.
    ///
    /// # Errors
    ///
    /// [`Malformed`](imgfmt_core::ErrorKind::Malformed) where there is none.
    pub(crate) fn file(&self, id: &str) -> Result<&File> {
        let found = self.files.iter().find(|file| file.id == id);
        found.ok_or_else(|| Error::malformed(format!("names the file {id}, which is not there")).field("fileRef"))
    }
}

/// Whether these first bytes of a file are those of a description.
pub(crate) fn recognise(first: &[u8]) -> bool {
    let text = String::from_utf8_lossy(first);
    let text = text.trim_start_matches('\u{feff}').trim_start();
    text.starts_with('<') && text.contains("Envelope") && NAMESPACES.iter().any(|namespace| text.contains(namespace))
}

impl File {
    /// Reads a `File`.
    fn of(element: &Element) -> Result<Self> {
        Ok(Self {
            id: element.required("id")?,
            href: element.required("href")?,
            size: element.number("size")?,
            compression: element
                .attribute("compression")
                .filter(|kind| !matches!(*kind, "" | "identity"))
                .map(str::to_owned),
            chunk_size: element.number("chunkSize")?,
        })
    }
}

impl Disk {
    /// Reads a `Disk`.
    fn of(element: &Element) -> Result<Self> {
        let own = |name| element.attribute(name).filter(|value| !value.is_empty()).map(str::to_owned);
        let unit = element.attribute("capacityAllocationUnits").unwrap_or("byte");
        // A capacity may also be `${a property}`, which only a deployment fills in.
        let capacity = element.attribute("capacity").and_then(|text| bytes_of(text, unit));
        Ok(Self {
            id: element.required("diskId")?,
            file_ref: own("fileRef"),
            capacity,
            format: own("format"),
            parent_ref: own("parentRef"),
        })
    }

    /// The name of the format that its URI means, where it is one of disks.
    pub(crate) fn format_name(&self) -> Option<&'static str> {
        let uri = self.format.as_deref()?.to_ascii_lowercase();
        FORMATS.iter().find(|(part, _)| uri.contains(part)).map(|(_, name)| *name)
    }

    /// Whether it is a CD, which VirtualBox lists with the disks.
    pub(crate) fn is_cd(&self, href: &str) -> bool {
        let uri = self.format.as_deref().unwrap_or_default().to_ascii_lowercase();
        uri.contains("ecma-119") || (self.capacity == Some(0) && href.to_ascii_lowercase().ends_with(".iso"))
    }
}

/// Refuses what is there twice.
fn check_unique<'a>(what: &str, ids: impl Iterator<Item = &'a String>) -> Result<()> {
    let mut seen = std::collections::HashSet::new();
    for id in ids {
        if !seen.insert(id) {
            return Err(Error::malformed(format!("the {what} {id} is there twice")));
        }
    }
    Ok(())
}

/// How the namespaces of all editions begin: 1.x and 2.x, and 0.9.
const NAMESPACES: [&str; 2] = ["http://schemas.dmtf.org/ovf/", "http://www.vmware.com/schema/ovf/1/envelope"];
/// What URIs of formats have in common, and the names of the formats; the longer ones first.
const FORMATS: [(&str, &str); 6] =
    [("vmdk", "vmdk"), ("vhdx", "vhdx"), ("vhd", "vhd"), ("qcow2", "qcow2"), ("qcow", "qcow2"), ("raw", "raw")];
