//! What the tests of codecs share.

use super::{Codec, Compression, Encoder};

/// `data` as one stream.
pub(super) fn encoded(codec: Codec, data: &[u8]) -> Vec<u8> {
    let compression = Compression::new(codec, data.len() + 100);
    let mut out = vec![0; data.len() + 100];
    let len = Encoder::new(&compression).unwrap().encode(data, &mut out).unwrap().unwrap();
    out.truncate(len);
    out
}

/// 20,000 bytes that compress a little.
pub(super) fn sample() -> Vec<u8> {
    (0..20_000u32).map(|i| ((i * i) >> 7) as u8).collect()
}
