//! The same compressed body in another wrapper: what makes recompression needless.

use super::Codec;

/// How a stream of one codec becomes a stream of another that has the same body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rewrap {
    /// These many bytes are left off at the start and at the end. What follows the end of the stream within its
    /// bytes may stay there; decoders stop at the end.
    Strip(usize, usize),
    /// The body gets a zlib header and the checksum of what it decodes to; its exact end has to be known.
    FrameZlib,
}

/// How a stream of `from` becomes a stream of `to` without being decoded and encoded. `None` where the two have no
/// body in common.
#[must_use]
pub fn rewrap(from: Codec, to: Codec) -> Option<Rewrap> {
    match (from, to) {
        (Codec::Zlib, Codec::Deflate) => Some(Rewrap::Strip(ZLIB_HEADER.len(), ZLIB_CHECKSUM_LEN)),
        (Codec::Deflate, Codec::Zlib) => Some(Rewrap::FrameZlib),
        (from, to) if from == to => Some(Rewrap::Strip(0, 0)),
        _ => None,
    }
}

/// Bytes that [`frame_zlib`] adds to a body.
pub const ZLIB_FRAME_LEN: usize = ZLIB_HEADER.len() + ZLIB_CHECKSUM_LEN;

/// Writes to the start of `out` the zlib stream of a deflate `body` that decodes to `plain`, and returns its length.
///
/// # Panics
///
/// Where `out` is shorter than the body and [`ZLIB_FRAME_LEN`].
pub fn frame_zlib(body: &[u8], plain: &[u8], out: &mut [u8]) -> usize {
    let (header, rest) = out.split_at_mut(ZLIB_HEADER.len());
    let (middle, rest) = rest.split_at_mut(body.len());
    header.copy_from_slice(&ZLIB_HEADER);
    middle.copy_from_slice(body);
    rest[..ZLIB_CHECKSUM_LEN].copy_from_slice(&simd_adler32::adler32(&plain).to_be_bytes());
    body.len() + ZLIB_FRAME_LEN
}

/// Deflate with the full window, the usual effort, no dictionary. RFC 1950, section 2.2.
const ZLIB_HEADER: [u8; 2] = [0x78, 0x9c];
/// Bytes of the Adler-32 behind the body. RFC 1950, section 2.2.
const ZLIB_CHECKSUM_LEN: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Decoder;
    use crate::codec::testing::{encoded, sample};

    #[test]
    fn a_zlib_stream_rewraps_to_the_same_deflate_body() {
        let stream = encoded(Codec::Zlib, &sample());
        let Some(Rewrap::Strip(front, back)) = rewrap(Codec::Zlib, Codec::Deflate) else { panic!("it does not") };
        let body = &stream[front..stream.len() - back];
        let mut unit = vec![0; 20_000];
        assert_eq!(Decoder::default().decode(Codec::Deflate, body, &mut unit), Ok(20_000));
        assert_eq!(unit, sample());
    }

    #[test]
    fn a_deflate_body_with_anything_behind_it_rewraps_to_zlib() {
        let mut stored = encoded(Codec::Deflate, &sample());
        let exact = stored.len();
        stored.extend_from_slice(&[0xa5; 300]);
        let mut unit = vec![0; 20_000];
        assert_eq!(Decoder::default().inflate_exactly(&stored, &mut unit), Ok((exact, 20_000)));
        let mut out = vec![0; exact + ZLIB_FRAME_LEN];
        assert_eq!(frame_zlib(&stored[..exact], &unit, &mut out), out.len());
        unit.fill(0);
        assert_eq!(Decoder::default().decode(Codec::Zlib, &out, &mut unit), Ok(20_000));
        assert_eq!(unit, sample());
    }

    #[test]
    fn a_body_that_goes_on_beyond_its_unit_has_no_end_there() {
        let stored = encoded(Codec::Deflate, &sample());
        assert!(Decoder::default().inflate_exactly(&stored, &mut [0; 10_000]).is_err());
    }
}
