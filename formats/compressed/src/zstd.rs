//! Zstandard, RFC 8878, and its seekable kind, which ends with a table of its frames.

mod checksum;
mod seek;

use imgfmt_core::{Error, Result};
pub(crate) use seek::table;
use zstd::stream::raw::{DParameter, Decoder, Operation};

use crate::blocks::Block;
use crate::coder::{Coder, Framing, Padding, Step, decode_member};
use crate::layout::WINDOW_BITS_MAX;
use crate::layout::zstd::{MAGIC, SKIPPABLE_KINDS, SKIPPABLE_MAGIC};

/// Why a file is zstd, or nothing. Skippable frames of other programs may come first.
pub(crate) fn recognise(first: &[u8]) -> Option<&'static str> {
    if first.starts_with(&MAGIC) {
        return Some("the magic number of zstd");
    }
    let mut rest = first;
    while begins(rest) {
        let len = u32::from_le_bytes(rest.get(4..8)?.try_into().ok()?);
        rest = rest.get(8_usize.checked_add(usize::try_from(len).ok()?)?..)?;
        if rest.starts_with(&MAGIC) {
            return Some("the magic number of zstd behind a skippable frame");
        }
    }
    None
}

/// How frames follow each other.
pub(crate) const FRAMING: Framing = Framing { begins, padding: Padding::None };

/// Whether these are the first bytes of a frame, skippable ones included.
fn begins(head: &[u8]) -> bool {
    let Some(magic) = head.first_chunk() else { return false };
    *magic == MAGIC || u32::from_le_bytes(*magic) & !SKIPPABLE_KINDS == SKIPPABLE_MAGIC
}

/// Decodes one frame. libzstd checks its checksum, where it has one.
struct ZstdCoder(Decoder<'static>);

/// A decoder of frames whose window is within bounds.
pub(crate) fn coder() -> Result<Box<dyn Coder>> {
    let no_memory = |e| Error::io("cannot start the decoder of zstd", e);
    let mut decoder = Decoder::new().map_err(no_memory)?;
    decoder.set_parameter(DParameter::WindowLogMax(WINDOW_BITS_MAX)).map_err(no_memory)?;
    Ok(Box::new(ZstdCoder(decoder)))
}

impl Coder for ZstdCoder {
    fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step> {
        let status = self.0.run_on_buffers(input, output).map_err(fault)?;
        let moved = status.bytes_read + status.bytes_written > 0;
        Ok(Step { consumed: status.bytes_read, produced: status.bytes_written, ended: moved && status.remaining == 0 })
    }

    fn restart(&mut self) -> Result<()> {
        self.0.reinit().map_err(|e| Error::io("cannot restart the decoder of zstd", e))
    }
}

/// Decodes one frame, and compares it with its checksum in the seek table.
///
/// # Errors
///
/// As [`decode_member`].
pub(crate) fn decode_block(block: &Block, stored: &[u8]) -> Result<Vec<u8>> {
    let bytes = decode_member(&mut *coder()?, &[], stored, block.buffer_len())?;
    if !seek::is_right(block.kind, &bytes) {
        return Err(Error::malformed("is not that of the frame").field("Checksum"));
    }
    Ok(bytes)
}

/// What libzstd says, as an error of the right kind. It has no other way to tell them apart than their text.
fn fault(error: std::io::Error) -> Error {
    if error.to_string().contains("too much memory") {
        let what = format!("the window is larger than {} MiB", 1 << (WINDOW_BITS_MAX - 20));
        return Error::limit(what).because(error);
    }
    Error::malformed("the compressed data is damaged").because(error)
}
