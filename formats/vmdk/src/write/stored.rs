//! A zlib stream that stores its bytes as they are: what a grain becomes that does not shrink.

/// Bytes of the stream that [`stream`] makes of `len` bytes.
pub(super) fn stream_len(len: usize) -> usize {
    HEADER.len() + len + len.div_ceil(MAX_BLOCK_LEN).max(1) * BLOCK_HEADER_LEN + CHECKSUM_LEN
}

/// Appends a zlib stream of stored blocks. RFC 1950, section 2.2; RFC 1951, section 3.2.4.
pub(super) fn stream(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&HEADER);
    let blocks = bytes.len().div_ceil(MAX_BLOCK_LEN).max(1);
    for index in 0..blocks {
        let block = &bytes[index * MAX_BLOCK_LEN..bytes.len().min((index + 1) * MAX_BLOCK_LEN)];
        let len = u16::try_from(block.len()).unwrap_or(u16::MAX);
        out.push(u8::from(index + 1 == blocks));
        out.extend_from_slice(&len.to_le_bytes());
        out.extend_from_slice(&(!len).to_le_bytes());
        out.extend_from_slice(block);
    }
    out.extend_from_slice(&adler32(bytes).to_be_bytes());
}

/// The checksum of a zlib stream. RFC 1950, section 8.2.
fn adler32(bytes: &[u8]) -> u32 {
    let (mut a, mut b) = (1, 0);
    for part in bytes.chunks(SUMS_PER_REMAINDER) {
        for &byte in part {
            a += u32::from(byte);
            b += a;
        }
        a %= ADLER_BASE;
        b %= ADLER_BASE;
    }
    b << 16 | a
}

/// Deflate with a window of 32 KiB, the fastest level, no dictionary.
const HEADER: [u8; 2] = [0x78, 0x01];
/// Bytes before those of a stored block: its type, padded, its length and the complement.
const BLOCK_HEADER_LEN: usize = 5;
/// Longest stored block.
const MAX_BLOCK_LEN: usize = 65_535;
/// Bytes of the checksum.
const CHECKSUM_LEN: usize = 4;
/// The prime that Adler-32 counts by.
const ADLER_BASE: u32 = 65_521;
/// Bytes that can be summed before 32 bits overflow.
const SUMS_PER_REMAINDER: usize = 5552;

#[cfg(test)]
mod tests {
    use imgfmt_core::Codec;
    use imgfmt_core::codec::Decoder;

    use super::*;

    #[test]
    fn a_stored_stream_decodes_and_is_as_long_as_said() {
        for len in [0, 1, 4096, 65_535, 65_536, 1 << 20] {
            let bytes: Vec<u8> = (0..len).map(|at: usize| (at * 7 + at / 251) as u8 | 0x80).collect();
            let mut out = vec![];
            stream(&bytes, &mut out);
            assert_eq!(out.len(), stream_len(len));
            let mut back = vec![0; len];
            assert_eq!(Decoder::default().decode(Codec::Zlib, &out, &mut back), Ok(len));
            assert!(back == bytes);
        }
    }
}
