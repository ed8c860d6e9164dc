//! Images that can be read in one pass, front to back, as from a pipe.

use std::io::Read;
use std::ops::Range;

use crate::Result;
use crate::codec::Codec;

/// What became of bytes that may come from a pipe.
pub enum Streamed<T> {
    /// They can be taken in one pass.
    OnePass(T),
    /// They cannot: here they are, all of them, and the reason.
    NeedsSeek {
        /// The input, what was looked at included.
        input: Box<dyn Read + Send>,
        /// Why, to follow "because".
        reason: String,
    },
}

/// An image that arrives in guest order.
///
/// The engine takes it in place of a map: what a stream hands out is written while the rest is still to come.
pub trait ImageStream: Send {
    /// Guest bytes of the virtual disk, as soon as they are known; `None` where only the end will tell.
    fn size(&self) -> Option<u64>;

    /// Guest bytes of the largest compressed unit: a power of two, 1 where nothing is compressed. Encoded parts start at
    /// multiples of their own unit.
    fn unit(&self) -> u64;

    /// Hands out the next part, of at most `max` guest bytes unless it is one compressed unit, and appends its bytes to
    /// `bytes`. Parts ascend; what lies between two of them is zero. `None` at the end, when all that the format says
    /// about its own end has been checked and [`size`](Self::size) is known.
    ///
    /// # Errors
    ///
    /// [`Malformed`](crate::ErrorKind::Malformed) for a damaged stream,
    /// [`OutOfBounds`](crate::ErrorKind::OutOfBounds) for one that ends early,
    /// [`Unsupported`](crate::ErrorKind::Unsupported) for one that is not in guest order.
    fn next_part(&mut self, bytes: &mut Vec<u8>, max: u64) -> Result<Option<StreamPart>>;
}

/// A run of guest bytes of an [`ImageStream`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamPart {
    /// First guest byte.
    pub start: u64,
    /// Guest bytes.
    pub len: u64,
    /// In which form its bytes are.
    pub form: StreamForm,
}

/// The form of the bytes of a [`StreamPart`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamForm {
    /// All zero; no bytes were appended.
    Zero,
    /// As they are: `len` bytes were appended.
    Plain,
    /// A compressed unit: the stream lies in this range of the buffer.
    Encoded {
        /// How it is compressed.
        codec: Codec,
        /// Guest bytes that it decodes to, at least `len`.
        unit: u32,
        /// Where in the buffer the compressed bytes are, without any frame.
        body: Range<usize>,
    },
}
