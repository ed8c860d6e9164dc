//! New images, written by all cores and still the same for any number of them.
//!
//! A unit of guest bytes goes through three steps, and only the second is in order:
//!
//! 1. *encode*, in parallel: find zeros, compress. The engine does it, told by [`Shape`] how.
//! 2. [`place`](ImageWriter::place), in guest order: give it a host offset.
//! 3. [`store`](ImageWriter::store), in parallel: write it there.
//!
//! [`finish`](ImageWriter::finish) writes the metadata that could not be written on the way. The same
//! input and options give the same bytes, whatever the number of threads and their timing.

use std::sync::Arc;

use crate::Result;
use crate::codec::Compression;
use crate::target::Target;

/// What the engine has to know of a writer.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Guest bytes that are placed as one: a power of two. Zeros are found at this grain.
    pub unit: u64,
    /// In which order pieces may be stored.
    pub order: Order,
    /// How units are compressed, where they are.
    pub compression: Option<Compression>,
    /// Whether a plain piece at the end of the disk is padded with zeros to a whole unit.
    pub pads_last: bool,
    /// Whether plain bytes are stored as they are at the host offset, so that the kernel may copy them.
    pub stores_plain: bool,
    /// Whether zeros are to be written like any other bytes: then no piece is [`Form::Zero`].
    pub zeros_as_data: bool,
}

/// In which order a writer takes [`ImageWriter::store`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// In any order, several at once.
    Random,
    /// In guest order, one at a time, as into a pipe.
    Ordered,
}

/// A run of guest bytes that is to be placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// First guest byte, at the start of a unit.
    pub guest: u64,
    /// Guest bytes: whole units, or up to the end of the disk; one unit where it is encoded.
    pub len: u64,
    /// The form in which it is stored.
    pub form: Form,
}

/// The form in which a [`Piece`] is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// All bytes are zero; nothing follows for [`ImageWriter::store`]. Unless [`Shape::zeros_as_data`].
    Zero,
    /// The bytes are those of the file that the new image builds on; nothing follows either.
    Absent,
    /// The bytes as they are.
    Plain,
    /// One unit as a stream of this many bytes.
    Encoded(u32),
}

/// Where a piece, or the first part of it, shall be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Host offset of its first byte.
    pub host: u64,
    /// Guest bytes that are placed, at least a unit and at most the piece.
    pub len: u64,
}

/// Writes one new image.
///
/// Dropping a writer before [`finish`](Self::finish) leaves an image that is not whole.
pub trait ImageWriter: Send + Sync {
    /// What the engine has to know; the same for the whole life of the writer.
    fn shape(&self) -> Shape;

    /// Gives `piece` its place, or the first part of it that can lie together; the rest is asked for next.
    ///
    /// Called in guest order, one call at a time, for all bytes of the disk: each is in exactly one
    /// piece. What a zero or absent piece needs is done here, and its host offset means nothing. An
    /// encoded piece is placed as a whole.
    ///
    /// # Errors
    ///
    /// [`LimitExceeded`](crate::ErrorKind::LimitExceeded) where the format has no room left,
    /// [`Io`](crate::ErrorKind::Io) where metadata has to be written on the way and cannot.
    fn place(&self, piece: &Piece) -> Result<Placed>;

    /// Writes the bytes of `piece`, which has been placed at `host` as a whole. For a plain piece at the
    /// end of the disk they are padded where [`Shape::pads_last`] asks for it.
    ///
    /// # Errors
    ///
    /// [`Io`](crate::ErrorKind::Io) from the target.
    fn store(&self, piece: &Piece, host: u64, bytes: &[u8]) -> Result<()>;

    /// Where the image is written to.
    fn target(&self) -> &Arc<dyn Target>;

    /// Takes note of how large the disk has become, before [`finish`](Self::finish). Only called where
    /// [`CreateRequest::size_grows`](crate::CreateRequest::size_grows).
    ///
    /// # Errors
    ///
    /// [`Unsupported`](crate::ErrorKind::Unsupported) from writers that have to know before; they refuse the request, too.
    fn set_size(&self, size: u64) -> Result<()>;

    /// Makes the image whole, once every piece is stored. It is not flushed to the medium.
    ///
    /// # Errors
    ///
    /// As [`place`](Self::place).
    fn finish(self: Box<Self>) -> Result<()>;
}
