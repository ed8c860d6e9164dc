//! What a format is to the rest of the house.

use std::ffi::OsStr;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::abilities::Abilities;
use crate::bitmap::Bitmap;
use crate::gate::{Admitted, Gate, Reference, Role, Writable};
use crate::image::Image;
use crate::info::{Identity, ParentName};
use crate::limits::Limits;
use crate::options::{OptionSpec, Options};
use crate::probe::Head;
use crate::secrets::Secrets;
use crate::storage::Storage;
use crate::stream::{ImageStream, Streamed};
use crate::target::Target;
use crate::writer::ImageWriter;
use crate::{Error, Result};

/// An image format: recognises, opens and creates.
pub trait Format: Send + Sync {
    /// The name in lower case, as in options and output.
    fn name(&self) -> &'static str;

    /// Other names of the same format, QEMU's first where it has one of its own.
    fn aliases(&self) -> &'static [&'static str];

    /// Says why the file is of this format, or nothing. Reads what it likes, opens no other file, and
    /// leaves all judgement to [`open`](Self::open): a damaged header is still this format's.
    ///
    /// # Errors
    ///
    /// [`Io`](crate::ErrorKind::Io) where the storage cannot be read.
    fn probe(&self, head: &Head<'_>) -> Result<Option<&'static str>>;

    /// The options that [`open`](Self::open) knows.
    fn open_options(&self) -> &'static [OptionSpec];

    /// Opens one layer.
    ///
    /// # Errors
    ///
    /// Any kind but [`Invalid`](crate::ErrorKind::Invalid), with the byte and the field where there is one.
    fn open(&self, storage: Arc<dyn Storage>, context: &OpenContext<'_>) -> Result<Opened>;

    /// Reads an image in one pass from `input`, where it can be.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    fn stream(&self, input: Box<dyn Read + Send>, context: &OpenContext<'_>) -> Result<Streamed<Box<dyn ImageStream>>>;

    /// The options that [`create`](Self::create) knows; `None` where the format cannot be written.
    fn options(&self) -> Option<&'static [OptionSpec]>;

    /// Starts a new image in `target`, which is empty or may be overwritten.
    ///
    /// # Errors
    ///
    /// [`Invalid`](crate::ErrorKind::Invalid) for options and combinations that the format does not have,
    /// [`Io`](crate::ErrorKind::Io) where the target fails.
    fn create(&self, target: Arc<dyn Target>, request: &CreateRequest<'_>) -> Result<Box<dyn ImageWriter>>;

    /// The verbs that the format has for its images besides.
    fn abilities(&self) -> Abilities;
}

/// What a format may use while it opens a file.
#[derive(Clone, Copy)]
pub struct OpenContext<'a> {
    /// Bounds on what the file may ask for.
    pub limits: &'a Limits,
    /// Decides about the files that it names.
    pub gate: &'a dyn Gate,
    /// Where the file is, if it is a file.
    pub path: Option<&'a Path>,
    /// The format's own options for opening.
    pub options: &'a Options,
    /// The secrets that options may name.
    pub secrets: &'a Secrets,
    /// The internal snapshot to open in place of the current state, by id or name.
    pub snapshot: Option<&'a str>,
    /// Whether the image is opened only to be described: no other file is opened, no secret is needed, and reading
    /// guest bytes may be an error.
    pub describe_only: bool,
    /// Whether an image is opened although files of it are too short, as long as its tables are there: reading what is not is
    /// an error.
    pub salvage: bool,
    /// The folder for temporary files; `None` for `/var/tmp`.
    pub spool: Option<&'a Path>,
}

impl<'a> OpenContext<'a> {
    /// A context without a path, options, secrets or snapshot.
    #[must_use]
    pub fn new(limits: &'a Limits, gate: &'a dyn Gate) -> Self {
        Self {
            limits,
            gate,
            path: None,
            options: &NO_OPTIONS,
            secrets: &NO_SECRETS,
            snapshot: None,
            describe_only: false,
            salvage: false,
            spool: None,
        }
    }

    /// Asks the gate for the file called `name`.
    ///
    /// # Errors
    ///
    /// As [`Gate::open`].
    pub fn admit(&self, name: &Path, role: Role) -> Result<Admitted> {
        self.gate.open(&Reference { from: self.path, name, role })
    }

    /// Asks the gate for the file called `name`, to be written too.
    ///
    /// # Errors
    ///
    /// As [`Gate::open_to_write`].
    pub fn admit_to_write(&self, name: &Path, role: Role) -> Result<Writable> {
        self.gate.open_to_write(&Reference { from: self.path, name, role })
    }

    /// Refuses a snapshot, for formats that have none.
    ///
    /// # Errors
    ///
    /// [`Invalid`](crate::ErrorKind::Invalid) where one is asked for.
    pub fn without_snapshots(&self) -> Result<()> {
        match self.snapshot {
            Some(name) => Err(Error::invalid(format!("there is no snapshot {name}: the format has no snapshots"))),
            None => Ok(()),
        }
    }
}

/// One layer, and the name of the layer below.
pub struct Opened {
    /// The layer.
    pub image: Box<dyn Image>,
    /// What it builds on, if it does.
    pub parent: Option<Parent>,
    /// The dirty bitmaps that it carries.
    pub bitmaps: Vec<Box<dyn Bitmap>>,
}

impl Opened {
    /// A layer that builds on nothing and carries no bitmaps.
    #[must_use]
    pub fn alone(image: Box<dyn Image>) -> Self {
        Self { image, parent: None, bitmaps: Vec::new() }
    }
}

/// How to find and know the layer below.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parent {
    /// The names under which it may be, the best one first. Without any, the files beside the image are searched for
    /// the one that is `identity`.
    pub names: Vec<PathBuf>,
    /// The format that the image says the file has.
    pub format: Option<String>,
    /// What the parent's own [`Description::identities`](crate::Description::identities) has to have, where it has one of
    /// that kind at all.
    pub identity: Option<Identity>,
}

impl From<ParentName> for Parent {
    fn from(name: ParentName) -> Self {
        Self { names: vec![name.name], format: name.format, identity: None }
    }
}

/// What a new image is to be.
#[derive(Clone, Copy)]
pub struct CreateRequest<'a> {
    /// Guest bytes of the virtual disk.
    pub size: u64,
    /// Whether `size` is only what is known so far, and [`ImageWriter::set_size`] will tell the rest. Writers that must
    /// know before say that they cannot.
    pub size_grows: bool,
    /// The format's own options.
    pub options: &'a Options,
    /// Whether units are to be compressed.
    pub compress: bool,
    /// The file that the new image builds on.
    pub backing: Option<&'a Backing>,
    /// Whether all guest bytes are to take space on the host, zeros too.
    pub full_allocation: bool,
    /// Whether the target reads as zeros already, as a new file does.
    pub target_is_zero: bool,
    /// Whether no guest bytes are to be written: formats that cannot say that all is zero may show whatever is there.
    pub blank: bool,
    /// The name of the target's file, where it is a file.
    pub file_name: Option<&'a OsStr>,
    /// Where images of several files put the others.
    pub files: &'a dyn Siblings,
    /// The secrets that options may name.
    pub secrets: &'a Secrets,
    /// The dirty bitmaps that the new image shall carry.
    pub bitmaps: &'a [&'a dyn Bitmap],
    /// What will be written, for targets that are written [in order](Target::in_order) by formats whose tables come
    /// first: its map says what will be stored.
    pub plan: Option<&'a dyn Image>,
}

impl<'a> CreateRequest<'a> {
    /// A disk of `size` bytes in a new file, with these options and nothing else.
    #[must_use]
    pub fn new(size: u64, options: &'a Options) -> Self {
        Self {
            size,
            size_grows: false,
            options,
            compress: false,
            backing: None,
            full_allocation: false,
            target_is_zero: true,
            blank: false,
            file_name: None,
            files: &OneFile,
            secrets: &NO_SECRETS,
            bitmaps: &[],
            plan: None,
        }
    }
}

/// The file that a new image builds on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Backing {
    /// The name to store, and the format.
    pub name: ParentName,
    /// Where it is, absolute, where it is a file.
    pub path: Option<PathBuf>,
    /// By what it can be known again.
    pub identities: Vec<Identity>,
    /// Guest bytes of its disk.
    pub size: u64,
}

/// Makes the other files of an image that has several.
pub trait Siblings: Send + Sync {
    /// Starts the file called `name`, relative to the folder of the image's own file. It is there when the image is.
    ///
    /// # Errors
    ///
    /// [`Unsupported`](crate::ErrorKind::Unsupported) where the image's own file is no file in a folder,
    /// [`Io`](crate::ErrorKind::Io) where it cannot be made.
    fn create(&self, name: &Path) -> Result<Arc<dyn Target>>;
}

/// For images that are one file.
#[derive(Clone, Copy, Debug, Default)]
pub struct OneFile;

impl Siblings for OneFile {
    fn create(&self, name: &Path) -> Result<Arc<dyn Target>> {
        Err(Error::unsupported(format!("the image needs a second file, {}, which cannot be made here", name.display())))
    }
}

/// No options.
static NO_OPTIONS: Options = Options::new();
/// No secrets.
static NO_SECRETS: Secrets = Secrets::new();
