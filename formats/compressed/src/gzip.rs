//! gzip, RFC 1952, and its seekable kind of many small members, BGZF.

use std::sync::Arc;

use flate2::{Decompress, FlushDecompress, Status};
use imgfmt_core::{Error, Limits, Result, Storage, StorageExt};

use crate::blocks::{Block, Table};
use crate::coder::{Coder, Framing, Padding, Step, decode_member};
use crate::layout::gzip::{
    BGZF_BLOCK_MAX, BGZF_EXTRA_LEN, BGZF_HEADER_LEN, BGZF_SUBFIELD, DEFLATE, EXTRA_AT, EXTRA_LEN_AT, FEXTRA, FLAGS_AT,
    MAGIC, MEMBER_SIZE_AT, SIZE_LEN, WINDOW_BITS,
};

/// Why a file is gzip, or nothing.
pub(crate) fn recognise(first: &[u8]) -> Option<&'static str> {
    begins(first).then_some("the magic number of gzip")
}

/// How members follow each other.
pub(crate) const FRAMING: Framing = Framing { begins, padding: Padding::Tail };

/// Whether these are the first bytes of a member.
fn begins(head: &[u8]) -> bool {
    head.starts_with(&MAGIC) && head.get(MAGIC.len()) == Some(&DEFLATE)
}

/// Decodes one member. zlib checks its header, CRC-32 and length.
struct GzipCoder(Decompress);

/// A decoder of members.
pub(crate) fn coder() -> Result<Box<dyn Coder>> {
    Ok(Box::new(GzipCoder(Decompress::new_gzip(WINDOW_BITS))))
}

impl Coder for GzipCoder {
    fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step> {
        let (before_in, before_out) = (self.0.total_in(), self.0.total_out());
        let status = self
            .0
            .decompress(input, output, FlushDecompress::None)
            .map_err(|e| Error::malformed("the compressed data is damaged").because(e))?;
        let since = |now: u64, before: u64| usize::try_from(now - before).unwrap_or(usize::MAX);
        Ok(Step {
            consumed: since(self.0.total_in(), before_in),
            produced: since(self.0.total_out(), before_out),
            ended: status == Status::StreamEnd,
        })
    }

    fn restart(&mut self) -> Result<()> {
        self.0 = Decompress::new_gzip(WINDOW_BITS);
        Ok(())
    }
}

/// The members of a BGZF file; nothing for other gzip files, and for what would make too long a table.
///
/// # Errors
///
/// [`Io`](imgfmt_core::ErrorKind::Io) where the storage cannot be read.
pub(crate) fn table(storage: &Arc<dyn Storage>, limits: &Limits) -> Result<Option<Table>> {
    let mut table = Table::new(limits);
    let mut at = 0_u64;
    let Some(mut stored_len) = first_len(storage.as_ref())? else { return Ok(None) };
    loop {
        let Some(end) = at.checked_add(stored_len).filter(|&end| end <= storage.len()) else { return Ok(None) };
        // One read gets the end of a member and the header of the next.
        let mut joint = [0; SIZE_LEN as usize + BGZF_HEADER_LEN];
        storage.read_padded(&mut joint, end - SIZE_LEN)?;
        let (decoded, header) = joint.split_at(SIZE_LEN as usize);
        let decoded = decoded.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte));
        // A member that says it is larger than the format allows is left to whoever decodes the file as a whole.
        if decoded > BGZF_BLOCK_MAX || !table.push(Block { at, stored_len, len: decoded, kind: 0 }) {
            return Ok(None);
        }
        if end == storage.len() {
            break;
        }
        let Some(next_len) = member_len(header) else { return Ok(None) };
        (at, stored_len) = (end, next_len);
    }
    Ok(table.seekable())
}

/// Decodes one member.
///
/// # Errors
///
/// As [`decode_member`].
pub(crate) fn decode_block(block: &Block, stored: &[u8]) -> Result<Vec<u8>> {
    decode_member(&mut *coder()?, &[], stored, block.buffer_len())
}

/// Bytes of the first member.
fn first_len(storage: &dyn Storage) -> Result<Option<u64>> {
    let mut header = [0; BGZF_HEADER_LEN];
    storage.read_padded(&mut header, 0)?;
    Ok(member_len(&header))
}

/// Bytes of a BGZF member by its header; nothing for other members.
fn member_len(header: &[u8]) -> Option<u64> {
    let word = |at: usize| header.get(at..at + 2).map(|bytes| u16::from_le_bytes([bytes[0], bytes[1]]));
    // The format lets other subfields stand beside this one; nobody writes them, and without the index it is still gzip.
    let is_bgzf = begins(header)
        && header.get(FLAGS_AT) == Some(&FEXTRA)
        && word(EXTRA_LEN_AT)? == BGZF_EXTRA_LEN
        && header[EXTRA_AT..].starts_with(&BGZF_SUBFIELD);
    let len = u64::from(word(MEMBER_SIZE_AT)?) + 1;
    (is_bgzf && len > BGZF_HEADER_LEN as u64 + 2 * SIZE_LEN).then_some(len)
}
