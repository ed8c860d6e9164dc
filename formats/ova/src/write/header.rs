//! Headers of members as POSIX has them.

use crate::tar::header::{
    CHECKSUM_AT, KIND_AT, LEN, MAGIC_AT, NAME_AT, NUMBER_LEN, OCTAL_MAX, POSIX_MAGIC, SIZE_AT, checksum,
};

/// The header of a regular file of `len` bytes. It belongs to nobody and has no time, so that the same input gives the
/// same archive. The name is at most 100 bytes long; what is above is cut off.
pub(super) fn block(name: &str, len: u64) -> [u8; LEN] {
    let mut block = [0; LEN];
    put(&mut block, NAME_AT, &name.as_bytes()[..name.len().min(100)]);
    put(&mut block, MODE_AT, b"0000644\0");
    put(&mut block, OWNER_AT, b"0000000\0");
    put(&mut block, GROUP_AT, b"0000000\0");
    put(&mut block, SIZE_AT, &size(len));
    put(&mut block, TIME_AT, b"00000000000\0");
    block[KIND_AT] = b'0';
    put(&mut block, MAGIC_AT, &POSIX_MAGIC);
    put(&mut block, MAGIC_AT + POSIX_MAGIC.len(), b"00");
    let sum = checksum(&block);
    put(&mut block, CHECKSUM_AT, format!("{sum:06o}\0 ").as_bytes());
    block
}

/// `size`: in octal digits as long as they suffice, and above, where POSIX has no way, in base 256 as GNU tar does.
fn size(len: u64) -> [u8; NUMBER_LEN] {
    let mut field = [0; NUMBER_LEN];
    if len <= OCTAL_MAX {
        field[..NUMBER_LEN - 1].copy_from_slice(format!("{len:011o}").as_bytes());
    } else {
        field[0] = 0x80;
        field[NUMBER_LEN - 8..].copy_from_slice(&len.to_be_bytes());
    }
    field
}

/// Puts `bytes` at a position of a header.
fn put(block: &mut [u8; LEN], at: usize, bytes: &[u8]) {
    block[at..at + bytes.len()].copy_from_slice(bytes);
}

/// Position of `mode`.
const MODE_AT: usize = 100;
/// Position of `uid`.
const OWNER_AT: usize = 108;
/// Position of `gid`.
const GROUP_AT: usize = 116;
/// Position of `mtime`.
const TIME_AT: usize = 136;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tar::header::Header;

    #[test]
    fn headers_read_back_for_any_size() {
        for len in [0, 1, OCTAL_MAX, OCTAL_MAX + 1, u64::MAX] {
            let header = Header::parse(&block("some.name", len)).unwrap();
            assert_eq!((header.size, header.name().unwrap()), (len, b"some.name".to_vec()));
        }
    }
}
