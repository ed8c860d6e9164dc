//! What images come wrapped in: archives of several disks, and compressed files.
//!
//! A wrapper is no image; it holds some. [`Opener`](crate::Opener) takes wrappers off, one after the other, and opens the
//! image that it finds.

use std::io::Read;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::Result;
use crate::format::OpenContext;
use crate::probe::Head;
use crate::storage::Storage;
use crate::stream::Streamed;

/// A kind of file that holds images.
pub trait Wrapper: Send + Sync {
    /// The name in lower case.
    fn name(&self) -> &'static str;

    /// Says why the file is of this kind, or nothing; as [`Format::probe`](crate::Format::probe).
    ///
    /// # Errors
    ///
    /// [`Io`](crate::ErrorKind::Io) where the storage cannot be read.
    fn probe(&self, head: &Head<'_>) -> Result<Option<&'static str>>;

    /// Whether a file of this kind always holds exactly one image, so that naming one means one further in.
    fn holds_one(&self) -> bool;

    /// Lists the images that the file holds, in its own order, without unpacking any.
    ///
    /// # Errors
    ///
    /// Any kind but [`Invalid`](crate::ErrorKind::Invalid), with the byte and the field where there is one.
    fn contents(&self, storage: &Arc<dyn Storage>, context: &OpenContext<'_>) -> Result<Contents>;

    /// Opens the bytes of member `index` of [`contents`](Self::contents): in place where that can be, else unpacked into
    /// a temporary file. Checks what the file says of the member's bytes, such as a hash.
    ///
    /// # Errors
    ///
    /// As [`contents`](Self::contents); [`LimitExceeded`](crate::ErrorKind::LimitExceeded) where a temporary file would
    /// grow beyond [`Limits::spool_bytes`](crate::Limits::spool_bytes).
    fn open(&self, storage: &Arc<dyn Storage>, index: usize, context: &OpenContext<'_>) -> Result<Arc<dyn Storage>>;

    /// Unwraps in one pass the one image that `input` holds, where that can be.
    ///
    /// # Errors
    ///
    /// As [`contents`](Self::contents).
    fn stream(&self, input: Box<dyn Read + Send>, context: &OpenContext<'_>) -> Result<Streamed<Box<dyn Read + Send>>>;
}

/// What a wrapper holds.
#[derive(Clone, Debug, Default)]
pub struct Contents {
    /// The images.
    pub members: Vec<Member>,
    /// What else there is to say, for people to read.
    pub details: Map<String, Value>,
}

/// An image in a wrapper.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Member {
    /// Its name in the wrapper.
    pub name: String,
    /// Bytes that it takes in the wrapper, where that is known.
    pub len: Option<u64>,
    /// Guest bytes that the wrapper says it has.
    pub capacity: Option<u64>,
    /// The format that the wrapper says it has.
    pub format: Option<String>,
}
