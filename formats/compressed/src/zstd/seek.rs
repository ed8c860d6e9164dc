//! The seek table at the end of a seekable file.

use std::sync::Arc;

use imgfmt_core::{Limits, Result, Storage, StorageExt};

use crate::blocks::{Block, Table};
use crate::layout::zstd::{
    CHECKSUM_LEN, CHECKSUMS, DESCRIPTOR_AT, ENTRY_LEN, FOOTER_LEN, RESERVED, SEEK_TABLE_MAGIC, SEEKABLE_MAGIC,
    SEEKABLE_MAGIC_AT, SKIPPABLE_HEADER_LEN,
};

/// The frames of a seekable file; nothing for other files, and where the table does not cover the file, or would take too
/// much memory.
///
/// # Errors
///
/// [`Io`](imgfmt_core::ErrorKind::Io) where the storage cannot be read.
pub(crate) fn table(storage: &Arc<dyn Storage>, limits: &Limits) -> Result<Option<Table>> {
    let Some(footer_at) = storage.len().checked_sub(FOOTER_LEN as u64) else { return Ok(None) };
    let footer: [u8; FOOTER_LEN] = storage.read_array(footer_at)?;
    if !footer[SEEKABLE_MAGIC_AT..].starts_with(&SEEKABLE_MAGIC) || footer[DESCRIPTOR_AT] & RESERVED != 0 {
        return Ok(None);
    }
    let frames = u64::from(u32::from_le_bytes([footer[0], footer[1], footer[2], footer[3]]));
    let has_checksums = footer[DESCRIPTOR_AT] & CHECKSUMS != 0;
    let entry_len = ENTRY_LEN + if has_checksums { CHECKSUM_LEN } else { 0 };
    let Ok(entries_len) = limits.table_len("Number_Of_Frames", frames, entry_len as u64) else { return Ok(None) };
    let Some(entries_at) = footer_at.checked_sub(entries_len as u64) else { return Ok(None) };
    let Some(head_at) = entries_at.checked_sub(SKIPPABLE_HEADER_LEN as u64) else { return Ok(None) };
    if !is_seek_table(storage.read_array(head_at)?, storage.len() - entries_at) {
        return Ok(None);
    }
    let entries = storage.read_vec(entries_at, entries_len)?;
    let mut table = Table::new(limits);
    let mut at = 0_u64;
    for entry in entries.chunks_exact(entry_len) {
        let field = |at: usize| u32::from_le_bytes([entry[at], entry[at + 1], entry[at + 2], entry[at + 3]]);
        let block = Block {
            at,
            stored_len: u64::from(field(0)),
            len: u64::from(field(4)),
            kind: if has_checksums { WITH_CHECKSUM | u64::from(field(ENTRY_LEN)) } else { 0 },
        };
        if !table.push(block) {
            return Ok(None);
        }
        at += block.stored_len;
    }
    Ok((at == head_at).then(|| table.seekable()).flatten())
}

/// Whether `head` is that of a seek table with `len` bytes behind it.
fn is_seek_table(head: [u8; SKIPPABLE_HEADER_LEN], len: u64) -> bool {
    let [a, b, c, d, e, f, g, h] = head;
    u32::from_le_bytes([a, b, c, d]) == SEEK_TABLE_MAGIC && u64::from(u32::from_le_bytes([e, f, g, h])) == len
}

/// Set in the kind of a block whose checksum is the rest of it.
const WITH_CHECKSUM: u64 = 1 << 32;

/// Whether `bytes` have the checksum that the kind of their block says.
pub(super) fn is_right(kind: u64, bytes: &[u8]) -> bool {
    kind & WITH_CHECKSUM == 0 || super::checksum::xxh64(bytes) & 0xffff_ffff == kind & 0xffff_ffff
}
