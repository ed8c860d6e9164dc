//! Taking space of a file system.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

use crate::convert::is_zero;

/// Takes space for `range` of `file`. Where the file system cannot do that, as ext2 and older NFS cannot, zeros are written over what
/// reads as zeros, and behind the end: the file is longer then.
pub(super) fn reserve(file: &File, range: &Range<u64>) -> io::Result<()> {
    match fallocate(file, FallocateFlags::KEEP_SIZE, range.start, range.end - range.start) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => by_writing(file, range),
        taken => taken.map_err(io::Error::from),
    }
}

/// Takes space by writing, without another byte in the file than before. Nobody else writes there meanwhile.
fn by_writing(file: &File, range: &Range<u64>) -> io::Result<()> {
    let mut buf = vec![0; CHUNK_LEN];
    let mut at = range.start;
    while at < range.end {
        let len = usize::try_from(range.end - at).unwrap_or(usize::MAX).min(CHUNK_LEN);
        let chunk = &mut buf[..len];
        chunk.fill(0);
        let read = read_up_to(file, chunk, at)?;
        if read == 0 || is_zero(chunk) {
            file.write_all_at(chunk, at)?;
        } else {
            for (index, block) in chunk.chunks(BLOCK_LEN).enumerate() {
                // One that has something in it has its space.
                if is_zero(block) {
                    file.write_all_at(block, at + (index * BLOCK_LEN) as u64)?;
                }
            }
        }
        at += len as u64;
    }
    Ok(())
}

/// Reads what there is of `buf` from byte `at` on.
fn read_up_to(file: &File, buf: &mut [u8], at: u64) -> io::Result<usize> {
    let mut done = 0;
    while done < buf.len() {
        match file.read_at(&mut buf[done..], at + done as u64) {
            Ok(0) => break,
            Ok(read) => done += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// Bytes that are looked at and written at once.
const CHUNK_LEN: usize = 1 << 20;
/// The smallest unit in which file systems without `fallocate` take space: 512 bytes for some, and more for most.
const BLOCK_LEN: usize = 512;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn what_has_data_keeps_it_and_the_rest_has_space() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(3 << 20).unwrap();
        for (byte, at) in [(1, 0), (2, (1 << 20) + 511), (3, (3 << 20) - 1)] {
            file.write_all_at(&[byte; 1], at).unwrap();
        }
        by_writing(&file, &(700..(5 << 20) + 1)).unwrap();
        let metadata = file.metadata().unwrap();
        assert_eq!(metadata.len(), (5 << 20) + 1);
        assert!(metadata.blocks() * 512 >= 5 << 20, "{}", metadata.blocks());
        let mut bytes = vec![9; (5 << 20) + 1];
        file.read_exact_at(&mut bytes, 0).unwrap();
        let there: Vec<_> = (0..bytes.len()).filter(|at| bytes[*at] != 0).map(|at| (bytes[at], at)).collect();
        assert_eq!(there, [(1, 0), (2, (1 << 20) + 511), (3, (3 << 20) - 1)]);
    }
}
