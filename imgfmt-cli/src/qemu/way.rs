//! The way to an image's bytes, where the caller says whether they are those of a file or of a device.

use std::ffi::OsStr;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use super::fault::shown;
use super::formats::HOST_DEVICE;

/// The way to an image's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// A regular file.
    File,
    /// A device.
    Device,
}

impl Way {
    /// The way that one of QEMU's drivers is.
    pub(crate) fn driver(name: &str) -> Option<Self> {
        match name {
            FILE => Some(Self::File),
            HOST_DEVICE | HOST_CDROM => Some(Self::Device),
            _ => None,
        }
    }

    /// The way that a name on the command line begins with.
    pub(crate) fn prefix(name: &OsStr) -> Option<Self> {
        let bytes = name.as_encoded_bytes();
        let colon = bytes.iter().position(|byte| *byte == b':')?;
        Self::driver(std::str::from_utf8(&bytes[..colon]).ok()?)
    }

    /// Why what is at `path` cannot be had on this way; that nothing is there is for others to tell.
    pub(crate) fn refusal(self, path: &Path) -> Option<String> {
        let kind = path.metadata().ok()?.file_type();
        let name = shown(path);
        let is_device = kind.is_block_device() || kind.is_char_device();
        match self {
            Self::File if !kind.is_file() => Some(format!("'{FILE}' driver requires '{name}' to be a regular file")),
            Self::Device if !is_device => {
                Some(format!("'{HOST_DEVICE}' driver requires '{name}' to be either a character or block device"))
            }
            _ => None,
        }
    }

    /// Why no new image is made at `path` on this way.
    pub(crate) fn refusal_of_new(self, path: &Path) -> Option<String> {
        let missing = || format!("Could not open '{}': No such file or directory", shown(path));
        match self {
            Self::File => self.refusal(path),
            Self::Device => {
                let why = if path.exists() { self.refusal(path) } else { Some(missing()) };
                why.map(|why| format!("{NO_NEW_DEVICE}{why}"))
            }
        }
    }
}

/// QEMU's driver for files.
const FILE: &str = "file";
/// QEMU's driver for drives of optical disks.
const HOST_CDROM: &str = "host_cdrom";
/// What is said of a device that has to be there and is not.
const NO_NEW_DEVICE: &str = "Protocol driver 'host_device' does not support creating new images, so an existing image must be \
     selected as the target; however, opening the given target as an existing image failed: ";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_leads_to_its_kind_of_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let way = |name: &str| Way::prefix(OsStr::new(name));
        assert_eq!(way("file:x"), Some(Way::File));
        assert_eq!(way("host_device:/dev/x"), Some(Way::Device));
        assert_eq!((way("x"), way("./file:x")), (None, None));
        assert_eq!((Way::File.refusal(&file), Way::File.refusal_of_new(&file)), (None, None));
        assert!(Way::File.refusal(Path::new("/dev/null")).is_some());
        assert!(Way::Device.refusal(&file).is_some());
        assert_eq!(Way::Device.refusal(Path::new("/dev/null")), None);
        let missing = folder.path().join("missing");
        assert_eq!((Way::Device.refusal(&missing), Way::File.refusal_of_new(&missing)), (None, None));
        assert!(Way::Device.refusal_of_new(&missing).is_some());
    }
}
