#![doc = include_str!("../README.md")]

mod marks;

use std::io::Read;
use std::sync::Arc;

use imgfmt_core::{
    Abilities, CreateRequest, Error, Format, Head, ImageStream, ImageWriter, OpenContext, Opened, OptionSpec, Result,
    Storage, Streamed, Target,
};

/// A format that is known by sight.
#[derive(Clone, Copy, Debug)]
pub struct Foreign {
    /// Its name.
    name: &'static str,
    /// What it is, for people.
    what: &'static str,
    /// Says why a file is of this format, or nothing.
    mark: fn(&Head<'_>) -> Result<Option<&'static str>>,
}

/// QEMU enhanced disks.
pub static QED: Foreign = Foreign { name: "qed", what: "a QEMU enhanced disk (QED)", mark: marks::qed };
/// Bochs disks.
pub static BOCHS: Foreign = Foreign { name: "bochs", what: "a Bochs disk", mark: marks::bochs };
/// Compressed loop images.
pub static CLOOP: Foreign = Foreign { name: "cloop", what: "a compressed loop image (cloop)", mark: marks::cloop };
/// Apple disk images.
pub static DMG: Foreign = Foreign { name: "dmg", what: "an Apple disk image (DMG)", mark: marks::dmg };
/// EnCase evidence files.
pub static EWF: Foreign = Foreign { name: "ewf", what: "an EnCase evidence file (EWF)", mark: marks::ewf };
/// Windows imaging files.
pub static WIM: Foreign = Foreign { name: "wim", what: "a Windows imaging file (WIM)", mark: marks::wim };
/// Proxmox backups.
pub static VMA: Foreign = Foreign { name: "vma", what: "a Proxmox backup (VMA)", mark: marks::vma };
/// ZIP archives.
pub static ZIP: Foreign = Foreign { name: "zip", what: "a ZIP archive", mark: marks::zip };
/// 7z archives.
pub static SEVEN_ZIP: Foreign = Foreign { name: "7z", what: "a 7z archive", mark: marks::seven_zip };
/// RAR archives.
pub static RAR: Foreign = Foreign { name: "rar", what: "a RAR archive", mark: marks::rar };
/// LZ4 frames.
pub static LZ4: Foreign = Foreign { name: "lz4", what: "a file that is compressed with LZ4", mark: marks::lz4 };

/// All of them.
pub static ALL: [&Foreign; 11] = [&QED, &BOCHS, &CLOOP, &DMG, &EWF, &WIM, &VMA, &ZIP, &SEVEN_ZIP, &RAR, &LZ4];

impl Foreign {
    /// What there is to say to whoever wants more than to know it.
    fn refusal(&self) -> Error {
        Error::unsupported(format!("the file is {}, which cannot be read here", self.what)).in_format(self.name)
    }
}

impl Format for Foreign {
    fn name(&self) -> &'static str {
        self.name
    }

    fn aliases(&self) -> &'static [&'static str] {
        &[]
    }

    fn probe(&self, head: &Head<'_>) -> Result<Option<&'static str>> {
        (self.mark)(head)
    }

    fn open_options(&self) -> &'static [OptionSpec] {
        &[]
    }

    fn open(&self, _storage: Arc<dyn Storage>, _context: &OpenContext<'_>) -> Result<Opened> {
        Err(self.refusal())
    }

    fn stream(&self, _input: Box<dyn Read + Send>, _: &OpenContext<'_>) -> Result<Streamed<Box<dyn ImageStream>>> {
        Err(self.refusal())
    }

    fn options(&self) -> Option<&'static [OptionSpec]> {
        None
    }

    fn create(&self, _target: Arc<dyn Target>, _request: &CreateRequest<'_>) -> Result<Box<dyn ImageWriter>> {
        Err(Error::unsupported(format!("{} cannot be written here", self.what)).in_format(self.name))
    }

    fn abilities(&self) -> Abilities {
        Abilities::NONE
    }
}
