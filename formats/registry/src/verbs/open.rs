//! Opening images by path.

use std::path::Path;
use std::sync::Arc;

use imgfmt_core::storage::Once;
use imgfmt_core::{
    Addresses, Chain, DenyAll, Error, FileMedium, FileStorage, FilesOnly, Format, Gate, Layer, Limits, Locking, Medium,
    OpenContext, Opened, Opener, OptionSpec, Options, Remote, Result, Secrets, Storage, storage::Window,
};

use crate::{FORMATS, WRAPPERS};

/// What an image may do while it is opened.
#[derive(Clone)]
pub struct Access<'a> {
    /// Decides about the files that images name: backing files and extents.
    pub gate: &'a dyn Gate,
    /// Says which names of images, as the caller gives them, are no names of files.
    pub addresses: &'a dyn Addresses,
    /// Bounds on what files may ask for.
    pub limits: Limits,
    /// The format of a file that no format claims; `None` refuses such a file.
    pub fallback: Option<&'a str>,
    /// The format's own options for opening.
    pub options: &'a Options,
    /// The secrets that options may name.
    pub secrets: &'a Secrets,
    /// The internal snapshot to open in place of the current state, by id or name.
    pub snapshot: Option<&'a str>,
    /// Which image of a file that holds several: its name, or its number from 1 on.
    pub member: Option<&'a str>,
    /// The part of the file in which the image lies; `None` for all of it. It can be read there, and not changed.
    pub part: Option<FilePart>,
    /// The folder for temporary files; `None` for `/var/tmp`.
    pub spool: Option<&'a Path>,
    /// Whether the image is opened without what it builds on: what it does not hold itself is zero.
    pub alone: bool,
    /// Whether files are opened whatever other programs do with them. Without it, a file that another program writes is
    /// refused.
    pub force_share: bool,
    /// Whether an image is opened although files of it are too short, or on a bad disk. Reading what is not there is an error, and
    /// no read that fails is tried twice.
    pub salvage: bool,
}

/// A part of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FilePart {
    /// Its first byte.
    pub offset: u64,
    /// Its length in bytes; `None` for all up to the end of the file.
    pub len: Option<u64>,
}

impl FilePart {
    /// The part of `storage`.
    ///
    /// # Errors
    ///
    /// [`OutOfBounds`](imgfmt_core::ErrorKind::OutOfBounds) where it passes the end of the file.
    pub fn of(self, storage: Arc<dyn Storage>) -> Result<Arc<dyn Storage>> {
        let end = match self.len {
            Some(len) => self.offset.saturating_add(len),
            None => storage.len().max(self.offset),
        };
        Ok(Arc::new(Window::new(storage, self.offset..end)?))
    }
}

/// No other file is opened, limits are the usual ones, and what no format claims is raw.
impl Default for Access<'_> {
    fn default() -> Self {
        Self {
            gate: &DenyAll,
            addresses: &FilesOnly,
            limits: Limits::default(),
            fallback: Some(RAW),
            options: &NO_OPTIONS,
            secrets: &NO_SECRETS,
            snapshot: None,
            member: None,
            part: None,
            spool: None,
            alone: false,
            force_share: false,
            salvage: false,
        }
    }
}

impl Access<'_> {
    /// The same rules without what is said of one image alone: options, the snapshot, which member, and which part. What lies
    /// below was named by an image, and so is a file.
    pub(crate) fn below(&self) -> Self {
        Self {
            options: &NO_OPTIONS,
            snapshot: None,
            member: None,
            part: None,
            alone: false,
            addresses: &FilesOnly,
            ..self.clone()
        }
    }

    /// What the caller's `name` leads to, where it is not the name of a file.
    pub(crate) fn remote(&self, name: &Path) -> Result<Option<Arc<dyn Remote>>> {
        self.addresses.find(name)
    }

    /// Where the file is that the caller calls `name`; nothing where it is none.
    pub(crate) fn place<'p>(&self, name: &'p Path) -> Option<&'p Path> {
        matches!(self.remote(name), Ok(None)).then_some(name)
    }

    /// Opens what the caller calls `name` to be changed, with the locks of a writer on it where it is a file.
    pub(crate) fn medium(&self, name: &Path) -> Result<Arc<dyn Medium>> {
        match self.remote(name)? {
            Some(remote) => {
                remote.open_to_write().map_err(|e| e.context(format!("cannot open {} for writing", name.display())))
            }
            None => Ok(Arc::new(FileMedium::open(name, self.locking(Locking::Write))?)),
        }
    }

    /// The locks to take for `locking`.
    pub(crate) fn locking(&self, locking: Locking) -> Locking {
        if self.force_share { Locking::Ignore } else { locking }
    }

    /// The opener that goes by these rules.
    pub(crate) fn opener(&self) -> Opener<'_> {
        let fallback = self.fallback.filter(|name| FORMATS.iter().any(|format| format.name() == *name));
        let context = OpenContext {
            options: self.options,
            secrets: self.secrets,
            snapshot: self.snapshot,
            spool: self.spool,
            salvage: self.salvage,
            ..OpenContext::new(&self.limits, self.gate)
        };
        Opener { formats: FORMATS, wrappers: WRAPPERS, fallback, context, member: self.member, alone: self.alone }
    }
}

/// Opens the image at `path` with all that it builds on, as one disk. Without a `format`, the file is probed.
///
/// # Errors
///
/// As [`Opener::open_layers`], and what the operating system says of the file.
pub fn open(path: &Path, format: Option<&str>, access: &Access<'_>) -> Result<Chain> {
    Chain::new(open_layers(path, format, access)?.into_iter().map(|layer| layer.image).collect())
}

/// Opens the image at `path` and every layer that it builds on, the top one first.
///
/// # Errors
///
/// As [`open`].
pub fn open_layers(path: &Path, format: Option<&str>, access: &Access<'_>) -> Result<Vec<Layer>> {
    let storage = storage(path, format, access)?;
    access.opener().open_layers(storage, access.place(path), format).map_err(|e| e.context(cannot_open(path)))
}

/// Opens the image at `path` and every layer that it builds on to be described, not read: no secret is needed.
pub(crate) fn describe_layers(path: &Path, format: Option<&str>, access: &Access<'_>) -> Result<Vec<Layer>> {
    let storage = storage(path, format, access)?;
    let opener = access.opener();
    let context = OpenContext { describe_only: true, ..opener.context };
    let opener = Opener { context, ..opener };
    opener.open_layers(storage, access.place(path), format).map_err(|e| e.context(cannot_open(path)))
}

/// Opens the image at `path` alone, and says what its format is called. Its backing file is not touched.
///
/// # Errors
///
/// As [`Opener::open_layer`], and what the operating system says of the file.
pub fn open_layer(path: &Path, format: Option<&str>, access: &Access<'_>) -> Result<(Opened, &'static str)> {
    let storage = storage(path, format, access)?;
    access.opener().open_layer(storage, access.place(path), format).map_err(|e| e.context(cannot_open(path)))
}

/// The options of a new image in the format of that name.
///
/// # Errors
///
/// [`Invalid`](imgfmt_core::ErrorKind::Invalid) with the nearest name, where there is no such format;
/// [`Unsupported`](imgfmt_core::ErrorKind::Unsupported) where it cannot be written.
pub fn options_of(format: &str) -> Result<&'static [OptionSpec]> {
    let options = Access::default().opener().by_name(format)?.options();
    options.ok_or_else(|| Error::unsupported(format!("images in the format {format} can be read, but not written")))
}

/// The options for opening an image in the format of that name.
///
/// # Errors
///
/// [`Invalid`](imgfmt_core::ErrorKind::Invalid) with the nearest name, where there is no such format.
pub fn open_options_of(format: &str) -> Result<&'static [OptionSpec]> {
    Ok(Access::default().opener().by_name(format)?.open_options())
}

/// The name of the format that the end of a file's name stands for, such as `disk.qcow2`.
#[must_use]
pub fn format_of_name(path: &Path) -> Option<&'static str> {
    let end = path.extension()?.to_str()?.to_ascii_lowercase();
    Access::default().opener().by_name(&end).ok().map(Format::name)
}

/// The bytes of the file at `path`. A format that does not exist is said before a file that is not there.
pub(crate) fn storage(path: &Path, format: Option<&str>, access: &Access<'_>) -> Result<Arc<dyn Storage>> {
    if let Some(name) = format {
        access.opener().by_name(name)?;
    }
    let whole: Arc<dyn Storage> = match access.remote(path)? {
        Some(remote) => remote.open().map_err(|e| e.context(cannot_open(path)))?,
        None => {
            let file = Arc::new(FileStorage::open_locked(path, access.locking(Locking::Read))?);
            if access.salvage { Arc::new(Once::new(file)) } else { file }
        }
    };
    match access.part {
        Some(part) => part.of(whole).map_err(|e| e.context(cannot_open(path))),
        None => Ok(whole),
    }
}

/// What could not be done.
pub(crate) fn cannot_open(path: &Path) -> String {
    format!("cannot open {}", path.display())
}

/// No options.
static NO_OPTIONS: Options = Options::new();
/// No secrets.
static NO_SECRETS: Secrets = Secrets::new();
/// The format that claims nothing, and so takes what is left.
pub(crate) const RAW: &str = "raw";
