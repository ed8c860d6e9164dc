//! What is asked of a conversion, and what is told of it.

use std::io::{Read, Write};
use std::path::PathBuf;

use imgfmt_core::convert::{Convert, Lost};
use imgfmt_core::{HashAlgorithm, HashValue, Options, ParentName};

use super::open::Access;

/// An image to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Where it is.
    pub path: PathBuf,
    /// Its format, where it is not to be probed.
    pub format: Option<String>,
}

/// What is to be converted to what, and how. [`new`](Self::new) has what is right for most.
#[derive(Clone)]
pub struct ConvertRequest<'a> {
    /// What is read: several disks become one, one behind the other.
    pub sources: Vec<Source>,
    /// Where the new image goes. What is there is replaced once the new image is whole; a device is
    /// written in place.
    pub target: PathBuf,
    /// The name of the new image's format.
    pub target_format: String,
    /// Options of the new image's format.
    pub options: Options,
    /// Whether the new image is compressed.
    pub compress: bool,
    /// Whether zeros take space in the new image, too.
    pub full_allocation: bool,
    /// The file that the new image builds on; its name is stored as it is here, and a relative one is
    /// relative to the target's folder. Only the top layer of the source is converted, for the file is
    /// taken to hold what the layers below hold. Without a format, it is probed.
    pub backing: Option<ParentName>,
    /// Whether the dirty bitmaps of the source are copied. Only for a single source.
    pub bitmaps: Bitmaps,
    /// Whether the target exists and is overwritten in place, keeping its length or the size of its disk. For every format
    /// that can be edited.
    pub in_place: bool,
    /// Whether a target that is written in place reads as zeros already.
    pub target_is_zero: bool,
    /// Whether the new image is on the medium when [`convert`](fn@crate::convert) returns.
    pub durable: bool,
    /// The hashes of the disk's content to compute on the way.
    pub hashes: Vec<HashAlgorithm>,
    /// Whether what was written is read again and compared with what was read, before a new image gets its name.
    pub verify: bool,
    /// Bytes that may be stored in a second.
    pub rate_limit: Option<u64>,
    /// Whether what cannot be read becomes zeros, and is told of, in place of an error.
    pub salvage: bool,
    /// What the sources may do while they are opened.
    pub access: Access<'a>,
    /// Threads, zeros to find, progress and cancellation.
    pub engine: Convert<'a>,
}

impl ConvertRequest<'_> {
    /// A request to convert the image at `source` to an image of `target_format` at `target`.
    pub fn new(source: impl Into<PathBuf>, target: impl Into<PathBuf>, target_format: impl Into<String>) -> Self {
        Self {
            sources: vec![Source { path: source.into(), format: None }],
            target: target.into(),
            target_format: target_format.into(),
            options: Options::default(),
            compress: false,
            full_allocation: false,
            backing: None,
            bitmaps: Bitmaps::Leave,
            in_place: false,
            target_is_zero: false,
            durable: false,
            hashes: Vec::new(),
            verify: false,
            rate_limit: None,
            salvage: false,
            access: Access::default(),
            engine: Convert::default(),
        }
    }
}

/// What becomes of the dirty bitmaps of a source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Bitmaps {
    /// They are left out.
    #[default]
    Leave,
    /// They are copied; one that cannot be relied on is an error.
    Copy,
    /// They are copied, but for those that cannot be relied on.
    CopySound,
}

/// Pipes in the place of files.
#[derive(Default)]
pub struct Pipes {
    /// What is read in place of the first source, whose path is then only a name.
    pub input: Option<Box<dyn Read + Send>>,
    /// What is written to in place of the target, whose path is then only a name.
    pub output: Option<Box<dyn Write + Send>>,
}

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConvertSummary {
    /// Guest bytes of the new image.
    pub size: u64,
    /// Bytes of guest data that were stored, in whatever form.
    pub stored: u64,
    /// Why the input had to be kept in a temporary file first, where it had to.
    pub spooled: Option<String>,
    /// The hashes that were asked for.
    pub hashes: Vec<HashValue>,
    /// Guest bytes that could not be read and are zero now, where that was no error.
    pub lost: Lost,
}
