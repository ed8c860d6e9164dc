//! xz: streams of blocks with an index at their end.

mod index;

use imgfmt_core::{Error, Result};
pub(crate) use index::table;
use liblzma::stream::{Action, Error as Fault, Status, Stream};

use crate::blocks::Block;
use crate::coder::{Coder, Framing, Padding, Step, decode_member};
use crate::layout::WINDOW_BITS_MAX;
use crate::layout::xz::MAGIC;

/// Why a file is xz, or nothing.
pub(crate) fn recognise(first: &[u8]) -> Option<&'static str> {
    begins(first).then_some("the magic number of xz")
}

/// How streams follow each other.
pub(crate) const FRAMING: Framing = Framing { begins, padding: Padding::Words };

/// Whether these are the first bytes of a stream.
fn begins(head: &[u8]) -> bool {
    head.starts_with(&MAGIC)
}

/// Decodes one stream. liblzma checks the check of each block and the index.
struct XzCoder(Stream);

/// A decoder of streams whose dictionary is within bounds.
pub(crate) fn coder() -> Result<Box<dyn Coder>> {
    Ok(Box::new(XzCoder(stream()?)))
}

/// A decoder of liblzma.
fn stream() -> Result<Stream> {
    let flags = liblzma::stream::TELL_UNSUPPORTED_CHECK;
    Stream::new_stream_decoder(MEMORY_MAX, flags).map_err(|e| Error::limit("cannot start the decoder of xz").because(e))
}

impl Coder for XzCoder {
    fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step> {
        let (before_in, before_out) = (self.0.total_in(), self.0.total_out());
        let status = self.0.process(input, output, Action::Run).map_err(fault)?;
        let since = |now: u64, before: u64| usize::try_from(now - before).unwrap_or(usize::MAX);
        Ok(Step {
            consumed: since(self.0.total_in(), before_in),
            produced: since(self.0.total_out(), before_out),
            ended: status == Status::StreamEnd,
        })
    }

    fn restart(&mut self) -> Result<()> {
        self.0 = stream()?;
        Ok(())
    }
}

/// Decodes one block: to liblzma, the first one of a stream that goes on.
///
/// # Errors
///
/// As [`decode_member`].
pub(crate) fn decode_block(block: &Block, stored: &[u8]) -> Result<Vec<u8>> {
    // The kind comes from the Stream Flags, which are one byte.
    let check = u8::try_from(block.kind).unwrap_or(u8::MAX);
    decode_member(&mut *coder()?, &index::header(check), stored, block.buffer_len())
}

/// What liblzma says, as an error of the right kind.
fn fault(error: Fault) -> Error {
    let said = match error {
        Fault::MemLimit | Fault::Mem => {
            Error::limit(format!("the dictionary is larger than {} MiB", 1 << (WINDOW_BITS_MAX - 20)))
        }
        Fault::Options => Error::unsupported("a filter or flag is not known"),
        Fault::UnsupportedCheck => Error::unsupported("the kind of checksum is not known"),
        _ => Error::malformed("the compressed data is damaged"),
    };
    said.because(error)
}

/// Bytes that liblzma may take: the largest dictionary, and what else a decoder needs.
const MEMORY_MAX: u64 = (1 << WINDOW_BITS_MAX) + (1 << 20);
