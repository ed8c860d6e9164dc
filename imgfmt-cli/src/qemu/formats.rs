//! The formats by the names that they have here, and what a file is taken for.

use std::sync::Arc;

use imgfmt::{Error, FORMATS, Format, Head, Result, Storage, probe};

/// A format as it is known here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    /// Its name here.
    pub(crate) name: &'static str,
    /// Its name in the library.
    pub(crate) library: &'static str,
    /// What is said of a file that is of another format.
    pub(crate) not_this: &'static str,
}

/// The format that is called `name` here; drivers of files are the format of files that are nothing else.
pub(crate) fn named(name: &str) -> Option<&'static Known> {
    let name = if is_file_driver(name) { RAW } else { name };
    KNOWN.iter().find(|known| known.name == name)
}

/// Whether `name` is one of QEMU's names for the way to a file or device.
pub(crate) fn is_file_driver(name: &str) -> bool {
    RAW_DRIVERS.contains(&name)
}

/// The name here of the format that the library calls `library`.
pub(crate) fn name_here(library: &str) -> &str {
    KNOWN.iter().find(|known| known.library == library).map_or(library, |known| known.name)
}

/// Whether no new image of a format builds on another file.
pub(crate) fn has_no_backing(format: &Known) -> bool {
    [RAW, "vdi", "luks", PARALLELS].contains(&format.name)
}

/// Whether QEMU tells of images of a format how large clusters are, and whether they were closed.
pub(crate) fn tells_of_clusters(library: &str) -> bool {
    library != PARALLELS
}

/// What the file is taken for: the one format that claims it, or else raw. Archives, compressed files and optical disks
/// are raw here, as they are to QEMU.
///
/// # Errors
///
/// [`Ambiguous`](imgfmt::ErrorKind::Ambiguous) where several formats claim it, and what the operating system says.
pub(crate) fn probed(storage: &Arc<dyn Storage>) -> Result<&'static Known> {
    let formats: Vec<&dyn Format> = KNOWN.iter().filter_map(format_of).collect();
    let found = probe::detect(&formats, storage)?.map_or(RAW, |format| format.name());
    KNOWN
        .iter()
        .find(|known| known.library == found)
        .ok_or_else(|| Error::unsupported(format!("{found} is unknown here")))
}

/// Whether the format claims the file. Raw claims every file.
///
/// # Errors
///
/// What the operating system says.
pub(crate) fn claims(known: &Known, storage: &dyn Storage) -> Result<bool> {
    match format_of(known) {
        Some(format) if known.name != RAW => Ok(format.probe(&Head::read(storage)?)?.is_some()),
        _ => Ok(true),
    }
}

/// The library's format.
fn format_of(known: &Known) -> Option<&'static dyn Format> {
    FORMATS.iter().copied().find(|format| format.name() == known.library)
}

/// The format of files that are nothing else.
pub(crate) const RAW: &str = "raw";
/// Parallels disks, of which QEMU's driver answers no questions.
pub(crate) const PARALLELS: &str = "parallels";
/// QEMU's names for the way to a file or device, which stand for the bytes as they are.
const RAW_DRIVERS: [&str; 3] = ["file", HOST_DEVICE, "host_cdrom"];
/// QEMU's name for the way to a device.
pub(crate) const HOST_DEVICE: &str = "host_device";
/// All formats that QEMU knows and the library knows at least by sight.
pub(crate) const KNOWN: [Known; 13] = [
    Known { name: RAW, library: RAW, not_this: "" },
    Known { name: "qcow2", library: "qcow2", not_this: "Image is not in qcow2 format" },
    Known { name: "vmdk", library: "vmdk", not_this: "invalid VMDK image descriptor" },
    Known { name: "vpc", library: "vhd", not_this: "invalid VPC image" },
    Known { name: "vhdx", library: "vhdx", not_this: "invalid VHDX image" },
    Known { name: "vdi", library: "vdi", not_this: "invalid VDI image" },
    Known { name: "qcow", library: "qcow", not_this: "Image not in qcow format" },
    Known { name: "luks", library: "luks", not_this: "Volume is not in LUKS format" },
    Known { name: PARALLELS, library: PARALLELS, not_this: "Image not in Parallels format" },
    Known { name: "qed", library: "qed", not_this: "Image not in QED format" },
    Known { name: "bochs", library: "bochs", not_this: "Image not in Bochs format" },
    Known { name: "cloop", library: "cloop", not_this: "Image not in cloop format" },
    Known { name: "dmg", library: "dmg", not_this: "Image not in DMG format" },
];
