//! An image that the command line names: where it is, what it is, and how it is to be opened.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use imgfmt::{
    Access, Addresses, Description, ErrorKind, FilePart, FileStorage, InfoRequest, Locking, Options, ParentName,
    Source, Storage,
};

use super::fault::{Fault, shown};
use super::formats::{self, Known, PARALLELS, RAW, is_file_driver, name_here};
use super::names::{self, Meaning};
use super::nested::{self, Flat};
use super::report::stderr;
use super::sizes;
use crate::remote::{Address, Remotes};
use crate::render::text::printable;

/// An image that the command line names.
#[derive(Clone, Debug)]
pub(crate) struct Image {
    /// How it was named, for messages.
    pub(crate) given: String,
    /// The file.
    pub(crate) path: PathBuf,
    /// Its format, where somebody said it.
    pub(crate) format: Option<&'static Known>,
    /// Options for opening it and, as `backing.…`, what it builds on.
    pub(crate) options: Options,
    /// The files that stand in for those that the image and the ones below name, from the top on.
    pub(crate) backing: Vec<PathBuf>,
    /// The format that the file it builds on is said to have.
    pub(crate) backing_format: Option<&'static Known>,
    /// The part of the file in which it lies; nothing for all of it.
    pub(crate) part: Option<FilePart>,
    /// What its path leads to, where that is an address and no file.
    pub(crate) remotes: Remotes,
}

impl Image {
    /// The image that `name` means: a file or an address or, with `image_opts`, a specification. `format` is what the
    /// user says that it is.
    pub(crate) fn new(name: &OsStr, format: Option<&OsStr>, image_opts: bool) -> Result<Self, Fault> {
        if image_opts {
            if format.is_some() {
                return Err(Fault::new("--image-opts and --format are mutually exclusive"));
            }
            let given = name.to_string_lossy().into_owned();
            let cannot = |what: String| Fault::new(format!("Could not open '{given}': {what}"));
            let options = Options::parse(&given).map_err(|error| cannot(error.to_string()))?;
            let list = options.names().map(|name| (name.to_owned(), options.get(name).unwrap_or_default().to_owned()));
            return Self::specified(&given, list.collect(), None);
        }
        let given = name.to_string_lossy().into_owned();
        let format = format.map(|format| Self::known(Path::new(name), &format.to_string_lossy())).transpose()?;
        match names::meaning(name)? {
            Meaning::File(path) => Ok(Self { given, format, ..Self::file(&path) }),
            Meaning::Remote(address) => Ok(Self::called(&given, format).at(address)),
            Meaning::Options(list) => Self::specified(&given, list, format),
        }
    }

    /// The image in a file.
    pub(crate) fn file(path: &Path) -> Self {
        let given = path.to_string_lossy().into_owned();
        Self { path: path.to_path_buf(), ..Self::called(&given, None) }
    }

    /// An image that is called `given`, of which nothing else is known but perhaps the format.
    fn called(given: &str, format: Option<&'static Known>) -> Self {
        Self {
            given: given.to_owned(),
            path: PathBuf::new(),
            format,
            options: Options::new(),
            backing: Vec::new(),
            backing_format: None,
            part: None,
            remotes: Remotes::default(),
        }
    }

    /// The same image, at an address.
    fn at(mut self, address: Address) -> Self {
        self.path = PathBuf::from(address.to_string());
        self.remotes.add(&self.path, address);
        self
    }

    /// The format that the file at `path` is said to have.
    pub(crate) fn known(path: &Path, format: &str) -> Result<&'static Known, Fault> {
        let cannot = || Fault::new(format!("Could not open '{}': Unknown driver '{}'", shown(path), printable(format)));
        formats::named(format).ok_or_else(cannot)
    }

    /// The image that options specify.
    fn specified(given: &str, list: Vec<(String, String)>, format: Option<&'static Known>) -> Result<Self, Fault> {
        let cannot = |what: &str| Fault::new(format!("Could not open '{given}': {what}"));
        let mut image = Self::called(given, format);
        let Flat { list, part, address } = nested::flattened(list).map_err(|what| cannot(&what))?;
        image.part = part;
        if let Some(address) = address {
            image = image.at(address);
        }
        // Only a driver that is the way to a file has the file's name itself.
        let is_bare = list.iter().any(|(name, value)| name == "driver" && is_file_driver(value));
        for (name, value) in &list {
            let mut key = name.as_str();
            let mut depth = 0;
            while let Some(below) = key.strip_prefix("backing.") {
                key = below;
                depth += 1;
            }
            match key {
                "file.filename" if depth == 0 => image.path = PathBuf::from(value),
                "filename" if depth == 0 && is_bare => image.path = PathBuf::from(value),
                "file.filename" if depth == image.backing.len() + 1 => image.backing.push(PathBuf::from(value)),
                "driver" if depth == 0 => {
                    image.format =
                        Some(formats::named(value).ok_or_else(|| cannot(&format!("Unknown driver '{value}'")))?);
                }
                "driver" if depth == 1 => {
                    image.backing_format =
                        Some(formats::named(value).ok_or_else(|| cannot(&format!("Unknown driver '{value}'")))?);
                }
                "file.driver" if is_file_driver(value) => {}
                "file.driver" => {
                    return Err(cannot(&format!("'{value}' is not supported as file.driver here, only 'file' is")));
                }
                "file" if depth == 0 => {
                    return Err(cannot(&format!("Cannot find device='{value}' nor node-name='{value}'")));
                }
                "filename" if depth == 0 => return Err(cannot("Must specify either driver or file")),
                "driver" | "file.filename" | "filename" => {
                    return Err(cannot(&format!("'{name}' is not supported here")));
                }
                _ if is_about_running(key) => {}
                _ => image.options.set(name, value),
            }
        }
        if image.path.as_os_str().is_empty() {
            return Err(cannot("Must specify either driver or file"));
        }
        if image.format_name() == RAW {
            image.check_window().map_err(|what| cannot(&what))?;
        }
        Ok(image)
    }

    /// Checks the size of a raw image that is a window on its file: QEMU counts in sectors.
    fn check_window(&self) -> Result<(), String> {
        match self.options.get("size").map(sizes::bytes) {
            Some(Ok(size)) if size % SECTOR_LEN != 0 => Err(format!("Specified size is not multiple of {SECTOR_LEN}")),
            _ => Ok(()),
        }
    }

    /// The bytes in which it lies.
    fn storage(&self, locking: Locking) -> imgfmt::Result<Arc<dyn Storage>> {
        let whole: Arc<dyn Storage> = match self.remotes.find(&self.path)? {
            Some(remote) => remote.open()?,
            None => Arc::new(FileStorage::open_locked(&self.path, locking)?),
        };
        match self.part {
            Some(part) => part.of(whole),
            None => Ok(whole),
        }
    }

    /// Checks what was said of the format of the file that it builds on: the image says it, too, and is believed.
    fn check_backing_format(&self) -> Result<(), Fault> {
        let Some(said) = self.backing_format else { return Ok(()) };
        let named = self.parent().and_then(|parent| parent.format);
        if named.as_deref().map(name_here) == Some(said.name) {
            return Ok(());
        }
        let what = format!("'backing.driver' is {}, which the image does not say of its backing file", said.name);
        Err(Fault::new(format!("Could not open '{}': {what}", printable(&self.given))))
    }

    /// Looks at the file, to know what it is, and whether it was probed for that. What was said of it has to be so; where
    /// `locking` says so, nobody may write to it.
    ///
    /// # Errors
    ///
    /// Where it cannot be opened, or is something else.
    pub(crate) fn settle(&mut self, locking: Locking) -> Result<bool, Fault> {
        let storage = self.storage(locking).map_err(|error| self.cannot_open(&error))?;
        match self.format {
            Some(format) => {
                if !formats::claims(format, storage.as_ref()).map_err(|error| self.cannot_open(&error))? {
                    return Err(Fault::new(format!("Could not open '{}': {}", self.given, format.not_this)));
                }
                self.check_backing_format()?;
                Ok(false)
            }
            None => {
                self.format = Some(formats::probed(&storage).map_err(|error| self.cannot_open(&error))?);
                self.check_backing_format()?;
                Ok(true)
            }
        }
    }

    /// Looks at the file that is going to be changed. One that was not said to be what it is, is not touched, unless
    /// it is nothing but bytes.
    ///
    /// # Errors
    ///
    /// As [`settle`](Self::settle), and where the format was not named.
    pub(crate) fn settle_to_write(&mut self) -> Result<(), Fault> {
        // The lock of a writer is the library's to take.
        if !self.settle(Locking::Ignore)? {
            return Ok(());
        }
        let (name, given) = (self.format_name(), &self.given);
        if name == RAW {
            stderr(&format!(
                "WARNING: Image format was not specified for '{given}' and probing guessed raw.\n{RAW_WARNING}"
            ));
            return Ok(());
        }
        Err(Fault::new(format!(
            "Could not open '{given}': the format was not specified, and probing guessed {name}; nothing is written to \
             an image that was only guessed to be one. Specify it with '-f {name}', or 'driver={name}' in image options."
        )))
    }

    /// The name of the format; raw before anybody has looked.
    pub(crate) fn format_name(&self) -> &'static str {
        self.format.map_or(RAW, |format| format.name)
    }

    /// The library's name of the format.
    pub(crate) fn library_format(&self) -> &'static str {
        self.format.map_or(RAW, |format| format.library)
    }

    /// The image as the library takes it.
    pub(crate) fn source(&self) -> Source {
        Source { path: self.path.clone(), format: self.format.map(|format| format.library.to_owned()) }
    }

    /// What its header says; nothing where that cannot be read.
    fn description(&self) -> Option<Description> {
        let request = InfoRequest { format: Some(self.library_format()), count: false, files: false };
        let access = Access { part: self.part, addresses: &self.remotes, ..Access::default() };
        imgfmt::info(&self.path, &request, &access).ok().map(|info| info.description)
    }

    /// The file that it builds on.
    pub(crate) fn parent(&self) -> Option<ParentName> {
        self.description()?.parent
    }

    /// Whether it is marked as damaged.
    pub(crate) fn is_corrupt(&self) -> bool {
        self.description().is_some_and(|description| description.specific.get("corrupt") == Some(&true.into()))
    }

    /// Whether it is of a format and a version that has bitmaps.
    pub(crate) fn can_have_bitmaps(&self) -> bool {
        self.description().is_some_and(|description| {
            description.format == PARALLELS || description.specific.get("compat") == Some(&"1.1".into())
        })
    }

    /// Why an image that is marked as damaged is not changed.
    pub(crate) fn corrupt(&self) -> Fault {
        let format = self.format_name();
        let what = format!("{format}: Image is corrupt; cannot be opened read/write");
        Fault::new(format!("Could not open '{}': {what}", printable(&self.given)))
    }

    /// Why it cannot be opened.
    pub(crate) fn cannot_open(&self, error: &imgfmt::Error) -> Fault {
        if error.kind() == ErrorKind::Unsupported && self.path.is_dir() {
            let name = &self.given;
            return Fault::new(format!(
                "Could not open '{name}': 'file' driver requires '{name}' to be a regular file"
            ));
        }
        if self.remotes.knows(&self.path) {
            return Fault::of(format!("Could not open '{}'", printable(&self.given)), error);
        }
        Fault::open(&self.given, error)
    }
}

/// Whether an option is about how a running machine uses an image, and means nothing to a program that looks at it once.
fn is_about_running(key: &str) -> bool {
    let key = key.strip_prefix("file.").unwrap_or(key);
    RUNNING.contains(&key) || key.starts_with("cache.")
}

/// Bytes of a sector, in which QEMU counts.
const SECTOR_LEN: u64 = 512;
/// Options about how a running machine uses an image.
const RUNNING: [&str; 17] = [
    "aio",
    "aio-max-batch",
    "auto-read-only",
    "cache-clean-interval",
    "detect-zeroes",
    "discard",
    "drop-cache",
    "force-share",
    "l2-cache-entry-size",
    "l2-cache-size",
    "lazy-refcounts",
    "locking",
    "node-name",
    "overlap-check",
    "read-only",
    "refcount-cache-size",
    "cache-size",
];
/// What QEMU adds where it writes to what it took for raw.
const RAW_WARNING: &str = "         \
Automatically detecting the format is dangerous for raw images, write operations on block 0 will be restricted.
         Specify the 'raw' format explicitly to remove the restrictions.
";
