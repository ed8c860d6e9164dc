//! What a format is to the rest of the house.

use std::path::Path;
use std::sync::Arc;

use crate::Result;
use crate::gate::{Admitted, Gate, Reference, Role};
use crate::image::Image;
use crate::info::ParentName;
use crate::limits::Limits;
use crate::options::{OptionSpec, Options};
use crate::probe::Head;
use crate::storage::Storage;
use crate::target::Target;
use crate::writer::ImageWriter;

/// An image format: recognises, opens and creates.
pub trait Format: Send + Sync {
    /// The name in lower case, as in options and output.
    fn name(&self) -> &'static str;

    /// Says why the file is of this format, or nothing. Reads what it likes, opens no other file, and
    /// leaves all judgement to [`open`](Self::open): a damaged header is still this format's.
    ///
    /// # Errors
    ///
    /// [`Io`](crate::ErrorKind::Io) where the storage cannot be read.
    fn probe(&self, head: &Head<'_>) -> Result<Option<&'static str>>;

    /// Opens one layer.
    ///
    /// # Errors
    ///
    /// Any kind but [`Invalid`](crate::ErrorKind::Invalid), with the byte and the field where there is one.
    fn open(&self, storage: Arc<dyn Storage>, context: &OpenContext<'_>) -> Result<Opened>;

    /// The options that [`create`](Self::create) knows; `None` where the format cannot be written.
    fn options(&self) -> Option<&'static [OptionSpec]>;

    /// Starts a new image in `target`, which is empty or may be overwritten.
    ///
    /// # Errors
    ///
    /// [`Invalid`](crate::ErrorKind::Invalid) for options and combinations that the format does not have,
    /// [`Io`](crate::ErrorKind::Io) where the target fails.
    fn create(&self, target: Arc<dyn Target>, request: &CreateRequest<'_>) -> Result<Box<dyn ImageWriter>>;
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
}

impl OpenContext<'_> {
    /// Asks the gate for the file called `name`.
    ///
    /// # Errors
    ///
    /// As [`Gate::open`].
    pub fn admit(&self, name: &Path, role: Role) -> Result<Admitted> {
        self.gate.open(&Reference { from: self.path, name, role })
    }
}

/// One layer, and the name of the layer below.
pub struct Opened {
    /// The layer.
    pub image: Box<dyn Image>,
    /// What it builds on, if it does.
    pub parent: Option<ParentName>,
}

/// What a new image is to be.
#[derive(Clone, Copy)]
pub struct CreateRequest<'a> {
    /// Guest bytes of the virtual disk.
    pub size: u64,
    /// The format's own options.
    pub options: &'a Options,
    /// Whether units are to be compressed.
    pub compress: bool,
    /// The file that the new image builds on.
    pub backing: Option<&'a ParentName>,
    /// Whether all guest bytes are to take space on the host, zeros too.
    pub full_allocation: bool,
    /// Whether the target reads as zeros already, as a new file does.
    pub target_is_zero: bool,
}
