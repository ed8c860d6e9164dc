//! The indexes of a file, read from its end.

use std::sync::Arc;

use flate2::Crc;
use imgfmt_core::{Limits, Result, Storage, StorageExt};

use crate::blocks::{Block, Table};
use crate::layout::xz::{
    BACKWARD_AT, CRC_LEN, FLAGS_AT, FOOTER_FLAGS_AT, FOOTER_MAGIC, FOOTER_MAGIC_AT, HEADER_LEN, INTEGER_LEN, MAGIC,
    UNPADDED_MIN, WORD,
};

/// The blocks of all streams; nothing where the indexes do not cover the file, which is then for the decoder to judge, or
/// where the table would be too long.
///
/// # Errors
///
/// [`Io`](imgfmt_core::ErrorKind::Io) where the storage cannot be read.
pub(crate) fn table(storage: &Arc<dyn Storage>, limits: &Limits) -> Result<Option<Table>> {
    let mut streams = Vec::new();
    let mut end = storage.len();
    let mut records = 0_usize;
    let mut padding = PADDING_MAX;
    while end > 0 {
        let Some(stream) = Part::before(storage.as_ref(), end, &mut padding, limits)? else { return Ok(None) };
        end = stream.start;
        records += stream.records.len();
        let held = records.saturating_add(streams.len()) as u64;
        if limits.table_len("Number of Records", held, size_of::<Block>() as u64).is_err() {
            return Ok(None);
        }
        streams.push(stream);
    }
    let mut table = Table::new(limits);
    for stream in streams.iter().rev() {
        let mut at = stream.start + HEADER_LEN as u64;
        for &(unpadded, len) in &stream.records {
            let stored_len = unpadded.next_multiple_of(WORD);
            if !table.push(Block { at, stored_len, len, kind: u64::from(stream.check) }) {
                return Ok(None);
            }
            at += stored_len;
        }
    }
    Ok(table.seekable())
}

/// The Stream Header of a stream with this kind of check.
pub(crate) fn header(check: u8) -> [u8; HEADER_LEN] {
    let mut header = [0; HEADER_LEN];
    header[..FLAGS_AT].copy_from_slice(&MAGIC);
    header[FLAGS_AT + 1] = check;
    let crc = crc32(&header[FLAGS_AT..FOOTER_FLAGS_AT]);
    header[FOOTER_FLAGS_AT..].copy_from_slice(&crc.to_le_bytes());
    header
}

/// One stream of a file.
struct Part {
    /// Position of its header.
    start: u64,
    /// The kind of its check.
    check: u8,
    /// Unpadded Size and Uncompressed Size of its blocks.
    records: Vec<(u64, u64)>,
}

impl Part {
    /// The stream that ends at `end`, but for at most `padding` bytes, from which those that are there are taken off.
    fn before(storage: &dyn Storage, mut end: u64, padding: &mut u64, limits: &Limits) -> Result<Option<Self>> {
        let footer = loop {
            if end < 2 * HEADER_LEN as u64 || !end.is_multiple_of(WORD) || *padding < WORD {
                return Ok(None);
            }
            let footer: [u8; HEADER_LEN] = storage.read_array(end - HEADER_LEN as u64)?;
            if footer[HEADER_LEN - 4..] != [0; 4] {
                break footer;
            }
            end -= WORD;
            *padding -= WORD;
        };
        let footer_at = end - HEADER_LEN as u64;
        let Some((index_len, check)) = parse_footer(&footer) else { return Ok(None) };
        let Some(index_at) = footer_at.checked_sub(index_len) else { return Ok(None) };
        let Ok(len) = limits.table_len("Backward Size", index_len, 1) else { return Ok(None) };
        let Some(records) = parse_index(&storage.read_vec(index_at, len)?) else { return Ok(None) };
        let blocks =
            records.iter().try_fold(0_u64, |sum, record| sum.checked_add(record.0.checked_next_multiple_of(WORD)?));
        let start = blocks.and_then(|blocks| index_at.checked_sub(blocks)?.checked_sub(HEADER_LEN as u64));
        let Some(start) = start else { return Ok(None) };
        let found: [u8; HEADER_LEN] = storage.read_array(start)?;
        Ok((found == header(check)).then_some(Self { start, check, records }))
    }
}

/// Bytes of the index, and the kind of check, by a Stream Footer.
fn parse_footer(footer: &[u8; HEADER_LEN]) -> Option<(u64, u8)> {
    let word = |at: usize| u32::from_le_bytes([footer[at], footer[at + 1], footer[at + 2], footer[at + 3]]);
    let whole = footer[FOOTER_MAGIC_AT..] == FOOTER_MAGIC
        && word(0) == crc32(&footer[BACKWARD_AT..FOOTER_MAGIC_AT])
        && footer[FOOTER_FLAGS_AT] == 0;
    let index_len = (u64::from(word(BACKWARD_AT)) + 1) * WORD;
    whole.then_some((index_len, footer[FOOTER_FLAGS_AT + 1]))
}

/// The records of an index with its CRC32.
fn parse_index(index: &[u8]) -> Option<Vec<(u64, u64)>> {
    let (body, crc) = index.split_at_checked(index.len().checked_sub(CRC_LEN)?)?;
    if crc != crc32(body).to_le_bytes() {
        return None;
    }
    let (&0, mut rest) = body.split_first()? else { return None };
    let count = integer(&mut rest)?;
    // A record takes two bytes at least, so no false count makes this grow beyond the index.
    let mut records = Vec::new();
    for _ in 0..count {
        let unpadded = integer(&mut rest).filter(|&unpadded| unpadded >= UNPADDED_MIN)?;
        records.push((unpadded, integer(&mut rest)?));
    }
    (rest.len() < WORD as usize && rest.iter().all(|&byte| byte == 0)).then_some(records)
}

/// The multibyte integer that `bytes` start with; takes it off.
fn integer(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in 0..INTEGER_LEN {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << (7 * shift);
        if byte & 0x80 == 0 {
            return (byte != 0 || shift == 0).then_some(value);
        }
    }
    None
}

/// The CRC32 of xz, which is that of gzip.
fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}

/// Bytes of padding in a file that are stepped over, word by word, before it is decoded as a whole instead.
const PADDING_MAX: u64 = 64 << 10;
