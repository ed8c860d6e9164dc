//! How fast an image can be read or written.

use std::path::PathBuf;
use std::time::Duration;

use imgfmt_core::{Error, Result};

use super::open::Access;
use super::request::Source;

/// Which requests an image is given.
#[derive(Clone)]
pub struct BenchRequest<'a> {
    /// The image.
    pub source: Source,
    /// Requests in all.
    pub count: u64,
    /// Requests that are on their way at a time.
    pub depth: u32,
    /// Bytes of a request.
    pub buffer_size: u64,
    /// Bytes from the start of a request to that of the next; `None` is the size of a request. Behind the end of the disk it
    /// goes on at its start.
    pub step: Option<u64>,
    /// Where the first request starts.
    pub offset: u64,
    /// Whether requests write, in place of reading.
    pub write: bool,
    /// The value of the bytes that are written.
    pub pattern: u8,
    /// Writes after which the image is flushed.
    pub flush_interval: Option<u64>,
    /// Whether writes go on while the image is flushed.
    pub no_drain: bool,
    /// What the image may do while it is opened.
    pub access: Access<'a>,
}

impl BenchRequest<'_> {
    /// Reads of 4 KiB, 75000 of them with 64 at a time, from the image at `path`, in a format that is probed.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            source: Source { path: path.into(), format: None },
            count: DEFAULT_COUNT,
            depth: DEFAULT_DEPTH,
            buffer_size: DEFAULT_BUFFER_SIZE,
            step: None,
            offset: 0,
            write: false,
            pattern: 0,
            flush_interval: None,
            no_drain: false,
            access: Access::default(),
        }
    }
}

/// What was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BenchResult {
    /// How long it took.
    pub elapsed: Duration,
    /// Requests that were done.
    pub requests: u64,
    /// Bytes that they read or wrote.
    pub bytes: u64,
}

/// Gives an image many requests, and measures how long they take. Opening is not measured.
///
/// # Errors
///
/// [`Invalid`](imgfmt_core::ErrorKind::Invalid) for requests that make no sense, and what opening, reading and writing say.
pub fn bench(request: &BenchRequest<'_>) -> Result<BenchResult> {
    Err(Error::unsupported(format!("{} cannot be measured yet", request.source.path.display())))
}

/// Requests where nothing is said. QEMU's number.
const DEFAULT_COUNT: u64 = 75_000;
/// Requests at a time where nothing is said. QEMU's number.
const DEFAULT_DEPTH: u32 = 64;
/// Bytes of a request where nothing is said. QEMU's number.
const DEFAULT_BUFFER_SIZE: u64 = 4096;
