//! bzip2: streams of blocks that start at any bit, so a file can only be decoded from its start.

use bzip2::{Decompress, Status};
use imgfmt_core::{Error, Result};

use crate::coder::{Coder, Framing, Padding, Step};
use crate::layout::bzip2::{BLOCK_AT, BLOCK_MAGIC, END_MAGIC, MAGIC};

/// Why a file is bzip2, or nothing.
pub(crate) fn recognise(first: &[u8]) -> Option<&'static str> {
    let block = first.get(BLOCK_AT..BLOCK_AT + BLOCK_MAGIC.len())?;
    (begins(first) && (block == BLOCK_MAGIC || block == END_MAGIC)).then_some("the magic number of bzip2")
}

/// How streams follow each other.
pub(crate) const FRAMING: Framing = Framing { begins, padding: Padding::None };

/// Whether these are the first bytes of a stream.
fn begins(head: &[u8]) -> bool {
    head.starts_with(&MAGIC) && head.get(MAGIC.len()).is_some_and(|level| (b'1'..=b'9').contains(level))
}

/// Decodes one stream. libbz2 checks the CRC of each block and of the whole.
struct Bzip2Coder(Decompress);

/// A decoder of streams.
pub(crate) fn coder() -> Result<Box<dyn Coder>> {
    Ok(Box::new(Bzip2Coder(Decompress::new(false))))
}

impl Coder for Bzip2Coder {
    fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step> {
        let (before_in, before_out) = (self.0.total_in(), self.0.total_out());
        let status = self
            .0
            .decompress(input, output)
            .map_err(|e| Error::malformed("the compressed data is damaged").because(e))?;
        if status == Status::MemNeeded {
            return Err(Error::limit("there is not enough memory to decode it"));
        }
        let since = |now: u64, before: u64| usize::try_from(now - before).unwrap_or(usize::MAX);
        Ok(Step {
            consumed: since(self.0.total_in(), before_in),
            produced: since(self.0.total_out(), before_out),
            ended: status == Status::StreamEnd,
        })
    }

    fn restart(&mut self) -> Result<()> {
        self.0 = Decompress::new(false);
        Ok(())
    }
}
