//! Decoding a whole file into a temporary one.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use imgfmt_core::{Error, FileStorage, OpenContext, Result, Storage};

use crate::reader::{Decoding, Whole};

/// Decodes all that `decoding` has into a file without a name, whose runs of zeros are holes.
///
/// # Errors
///
/// As [`Decoding::next`]; [`LimitExceeded`](imgfmt_core::ErrorKind::LimitExceeded) above
/// [`Limits::spool_bytes`](imgfmt_core::Limits::spool_bytes).
pub(crate) fn unpack(mut decoding: Decoding<Whole>, context: &OpenContext<'_>) -> Result<Arc<dyn Storage>> {
    let folder = context.spool.unwrap_or(Path::new(SPOOL));
    let cannot = || format!("cannot unpack into {}", folder.display());
    let file = tempfile::tempfile_in(folder).map_err(|e| Error::io(cannot(), e))?;
    let mut buffer = vec![0; BUFFER_LEN];
    let mut len = 0_u64;
    loop {
        let filled = fill(&mut decoding, &mut buffer)?;
        if filled == 0 {
            break;
        }
        if len + filled as u64 > context.limits.spool_bytes {
            let limit = context.limits.spool_bytes;
            return Err(Error::limit(format!("it unpacks to more than the limit of {limit} bytes")));
        }
        write_sparse(&file, &buffer[..filled], len).map_err(|e| Error::io(cannot(), e))?;
        len += filled as u64;
    }
    file.set_len(len).map_err(|e| Error::io(cannot(), e))?;
    Ok(Arc::new(FileStorage::from_file(file)?))
}

/// Fills `buffer`, except at the end.
fn fill(decoding: &mut Decoding<Whole>, buffer: &mut [u8]) -> Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match decoding.next(&mut buffer[filled..])? {
            0 => break,
            len => filled += len,
        }
    }
    Ok(filled)
}

/// Writes `bytes` at `at`, but for blocks of zeros: the file is new, so they are holes.
fn write_sparse(file: &File, bytes: &[u8], at: u64) -> std::io::Result<()> {
    let mut start = 0;
    let mut end = 0;
    for block in bytes.chunks(HOLE_LEN) {
        if block.iter().all(|&byte| byte == 0) {
            file.write_all_at(&bytes[start..end], at + start as u64)?;
            start = end + block.len();
        }
        end += block.len();
    }
    file.write_all_at(&bytes[start.min(end)..end], at + start as u64)
}

/// The folder for temporary files, where the caller names none: room for whole disks, unlike `/tmp`.
const SPOOL: &str = "/var/tmp";
/// Bytes that are decoded at once.
const BUFFER_LEN: usize = 1 << 20;
/// Bytes of a hole: the block of most file systems.
const HOLE_LEN: usize = 4096;
