//! A part of one disk as another.

use std::path::PathBuf;

use imgfmt_core::convert::Convert;
use imgfmt_core::{Error, Options, Result};

use super::open::{Access, RAW};
use super::request::{ConvertSummary, Pipes, Source};

/// What is to be copied from where to where.
#[derive(Clone)]
pub struct DdRequest<'a> {
    /// The image that is read, with all that it builds on.
    pub input: Source,
    /// Where the new image goes. What is there is replaced once the new image is whole; a device is written in place.
    pub output: PathBuf,
    /// The name of its format.
    pub output_format: String,
    /// Options of its format.
    pub options: Options,
    /// Bytes of a block.
    pub block_size: u64,
    /// Blocks that are copied at most; `None` is all that there are.
    pub count: Option<u64>,
    /// Blocks of the input that are left out before.
    pub skip: u64,
    /// Guest bytes of the new image, where it is not to be as large as what is copied; what lies behind that is zero.
    pub output_size: Option<u64>,
    /// Whether the output exists and is overwritten in place, keeping its size.
    pub in_place: bool,
    /// What the input may do while it is opened.
    pub access: Access<'a>,
    /// Threads, zeros to find, progress and cancellation.
    pub engine: Convert<'a>,
}

impl DdRequest<'_> {
    /// All of the image at `input`, in a format that is probed, as a raw image at `output`, in blocks of 512 bytes.
    pub fn new(input: impl Into<PathBuf>, output: impl Into<PathBuf>) -> Self {
        Self {
            input: Source { path: input.into(), format: None },
            output: output.into(),
            output_format: RAW.into(),
            options: Options::default(),
            block_size: DEFAULT_BLOCK_SIZE,
            count: None,
            skip: 0,
            output_size: None,
            in_place: false,
            access: Access::default(),
            engine: Convert::default(),
        }
    }
}

/// Copies a part of a disk. A count that passes the end of the disk is cut there; a skip that does leaves nothing.
///
/// # Errors
///
/// As [`convert`](fn@crate::convert).
pub fn dd(request: &DdRequest<'_>) -> Result<ConvertSummary> {
    dd_piped(request, Pipes::default())
}

/// Copies a part of a disk from a pipe, into one, or both.
///
/// # Errors
///
/// As [`convert_piped`](crate::convert_piped).
pub fn dd_piped(request: &DdRequest<'_>, _pipes: Pipes) -> Result<ConvertSummary> {
    Err(Error::unsupported(format!("{} cannot be copied yet", request.input.path.display())))
}

/// Bytes of a block where nothing is said, as in every `dd`.
const DEFAULT_BLOCK_SIZE: u64 = 512;
