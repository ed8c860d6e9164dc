//! Temporary files for what cannot be read by position where it comes from.

use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use super::{FileStorage, Storage};
use crate::aligned::AlignedBuf;
use crate::convert::is_zero;
use crate::{Error, Result};

/// Reads `input` to its end into a file in `folder` (`/var/tmp` where none is given) that no name leads to and that is
/// gone with the storage. Blocks of zeros become holes.
///
/// # Errors
///
/// [`LimitExceeded`](crate::ErrorKind::LimitExceeded) where there are more than `limit` bytes,
/// [`Io`](crate::ErrorKind::Io) where reading or writing fails.
pub fn spool(input: &mut dyn Read, folder: Option<&Path>, limit: u64) -> Result<Arc<dyn Storage>> {
    let folder = folder.unwrap_or(Path::new(FOLDER));
    let cannot = |e| Error::io(format!("cannot write to a temporary file in {}", folder.display()), e);
    let file = tempfile::tempfile_in(folder).map_err(cannot)?;
    let mut buffer = AlignedBuf::zeroed(BUFFER_LEN);
    let mut len = 0;
    loop {
        let there = fill(input, &mut buffer)?;
        if there == 0 {
            break;
        }
        if len + there as u64 > limit {
            let what = format!("what would have to be kept in a temporary file is longer than {limit} bytes");
            return Err(Error::limit(what));
        }
        for block in buffer[..there].chunks(BLOCK_LEN) {
            if !is_zero(block) {
                file.write_all_at(block, len).map_err(cannot)?;
            }
            len += block.len() as u64;
        }
    }
    file.set_len(len).map_err(cannot)?;
    Ok(Arc::new(FileStorage::from_file(file)?))
}

/// Fills `buffer` from `input`, but for the end of the input.
fn fill(input: &mut dyn Read, buffer: &mut [u8]) -> Result<usize> {
    let mut there = 0;
    while there < buffer.len() {
        match input.read(&mut buffer[there..]) {
            Ok(0) => break,
            Ok(len) => there += len,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(Error::from_read(e)),
        }
    }
    Ok(there)
}

/// Where temporary files are by default: large ones belong on a disk.
const FOLDER: &str = "/var/tmp";
/// Bytes read at once.
const BUFFER_LEN: usize = 1 << 20;
/// Bytes that become a hole where all are zero.
const BLOCK_LEN: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::StorageExt;

    #[test]
    fn what_is_spooled_reads_the_same_and_zeros_are_holes() {
        let dir = tempfile::tempdir().unwrap();
        let bytes = [vec![7; 100_000], vec![0; 3 << 20], vec![9; 5]].concat();
        let storage = spool(&mut bytes.as_slice(), Some(dir.path()), 1 << 30).unwrap();
        assert_eq!(storage.read_vec(0, bytes.len()).unwrap(), bytes);
        assert!(storage.segment(1 << 20).unwrap().hole);
        assert_eq!(dir.path().read_dir().unwrap().count(), 0);
    }

    #[test]
    fn there_is_a_limit() {
        let bytes = vec![1; 1001];
        assert_eq!(spool(&mut bytes.as_slice(), None, 1000).unwrap_err().kind(), crate::ErrorKind::LimitExceeded);
        assert_eq!(spool(&mut bytes.as_slice(), None, 1001).unwrap().len(), 1001);
    }
}
