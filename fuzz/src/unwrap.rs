//! Wrappers: what they say, and what comes out of them.

use std::io::{Cursor, Read};
use std::sync::Arc;

use imgfmt_core::{DenyAll, Limits, MemoryStorage, OpenContext, Storage, Streamed, Wrapper};

/// Does with `bytes`, taken for a file that `wrapper` takes off, what a service does with an upload. Temporary files stay
/// small.
pub fn unwrap_everything(wrapper: &dyn Wrapper, bytes: &[u8]) {
    let mut limits = Limits::default();
    limits.spool_bytes = MAX_SPOOL;
    let folder = std::env::temp_dir();
    let context = OpenContext { spool: Some(&folder), ..OpenContext::new(&limits, &DenyAll) };
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new(bytes));
    let members = wrapper.contents(&storage, &context).map(|contents| contents.members.len());
    for index in 0..members.unwrap_or(0).min(MAX_MEMBERS) {
        if let Ok(member) = wrapper.open(&storage, index, &context) {
            read_some(member.as_ref());
        }
    }
    if let Ok(Streamed::OnePass(reader)) = wrapper.stream(Box::new(Cursor::new(bytes.to_vec())), &context) {
        let _ = std::io::copy(&mut reader.take(MAX_SPOOL), &mut std::io::sink());
    }
}

/// Reads at the start, in the middle and at the end, and follows the segments.
fn read_some(storage: &dyn Storage) {
    let len = storage.len();
    for offset in [0, len / 2, len.saturating_sub(READ_LEN)] {
        let part = usize::try_from((len - offset).min(READ_LEN)).unwrap_or(0);
        let _ = storage.read_at(&mut vec![0; part], offset);
    }
    let mut at = 0;
    for _ in 0..MAX_SEGMENTS {
        let Ok(segment) = storage.segment(at) else { break };
        at += segment.len.get();
        assert!(at <= len, "a segment passes the end");
    }
}

/// Bytes that are unpacked at most.
const MAX_SPOOL: u64 = 4 << 20;
/// Members that are opened at most.
const MAX_MEMBERS: usize = 8;
/// Bytes of one read.
const READ_LEN: u64 = 64 << 10;
/// Segments that are followed at most.
const MAX_SEGMENTS: usize = 256;
