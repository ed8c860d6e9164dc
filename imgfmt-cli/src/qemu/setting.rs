//! What all commands can be told about how images are opened.

use imgfmt::{Access, ImageInfo, InfoRequest, Locking, Secrets};

use super::fault::Fault;
use super::gate::QemuGate;
use super::getopt::Parsed;
use super::image::Image;
use super::objects;

/// How images are opened.
pub(crate) struct Setting {
    /// The secrets that options may name.
    pub(crate) secrets: Secrets,
    /// What images may open.
    pub(crate) gate: QemuGate,
    /// Whether files are opened whatever others do with them.
    pub(crate) force_share: bool,
}

impl Setting {
    /// What the command line says.
    pub(crate) fn new(parsed: &Parsed) -> Result<Self, Fault> {
        let force_share = parsed.has("force-share");
        let gate =
            QemuGate::new(force_share).map_err(|error| Fault::of("Could not look at the root folder", &error))?;
        Ok(Self { secrets: objects::secrets(parsed)?, gate, force_share })
    }

    /// The same for what is looked at, and not read: others may write to it.
    pub(crate) fn shared(parsed: &Parsed) -> Result<Self, Fault> {
        let gate = QemuGate::new(true).map_err(|error| Fault::of("Could not look at the root folder", &error))?;
        Ok(Self { secrets: objects::secrets(parsed)?, gate, force_share: true })
    }

    /// The same for images of which only the places of bytes are asked for: what is nothing but bytes may be in use.
    pub(crate) fn of_places(parsed: &Parsed) -> Result<Self, Fault> {
        let mut setting = Self::new(parsed)?;
        let shared = setting.gate.share_plain_parents();
        shared.map_err(|error| Fault::of("Could not look at the root folder", &error))?;
        Ok(setting)
    }

    /// How files are looked at that are only read.
    pub(crate) fn locking(&self) -> Locking {
        reading(self.force_share)
    }

    /// What `image` says of itself; with `files`, also where the rest of it is.
    pub(crate) fn describe(&self, image: &Image, files: bool) -> Result<ImageInfo, Fault> {
        let request = InfoRequest { format: Some(image.library_format()), count: false, files };
        imgfmt::info(&image.path, &request, &self.access(image)).map_err(|error| image.cannot_open(&error))
    }

    /// How `image` is opened.
    pub(crate) fn access<'a>(&'a self, image: &'a Image) -> Access<'a> {
        self.gate.replace(&image.path, &image.backing);
        Access {
            gate: &self.gate,
            addresses: &image.remotes,
            options: &image.options,
            secrets: &self.secrets,
            part: image.part,
            alone: image.alone,
            force_share: self.force_share,
            ..Access::default()
        }
    }
}

/// How files are looked at that are only read.
pub(crate) fn reading(force_share: bool) -> Locking {
    if force_share { Locking::Ignore } else { Locking::Read }
}
