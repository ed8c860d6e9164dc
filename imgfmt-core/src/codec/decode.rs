//! Decoding of whole units.

use std::fmt;

use flate2::{Decompress, FlushDecompress};
use libdeflater::{DecompressionError, Decompressor};
use zstd::zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer, ResetDirective};

use super::Codec;

/// Decodes whole units; contexts are made when first needed, and used again.
#[derive(Default)]
pub struct Decoder {
    /// For deflate and zlib.
    deflate: Option<Decompressor>,
    /// For deflate streams whose end has to be found.
    inflate: Option<Decompress>,
    /// For Zstandard.
    zstd: Option<DCtx<'static>>,
}

/// Why a stream cannot be decoded. Completes a sentence that starts with the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeFault {
    /// The stream breaks the rules of its codec, ends too early, or has a wrong checksum.
    #[error("is damaged")]
    Damaged,
    /// The stream goes on beyond its unit.
    #[error("goes on beyond the end of the unit")]
    TooLong,
}

impl Decoder {
    /// Decodes `stream` into `unit` and returns how many bytes of `unit` it fills. What follows the end of
    /// the stream is ignored, since units are stored in whole sectors.
    ///
    /// # Errors
    ///
    /// [`DecodeFault`]; `unit` may be partly overwritten.
    pub fn decode(&mut self, codec: Codec, stream: &[u8], unit: &mut [u8]) -> Result<usize, DecodeFault> {
        match codec {
            Codec::Deflate => self.deflate(stream, unit),
            Codec::Zlib => self.zlib(stream, unit),
            Codec::Zstd => self.zstd(stream, unit),
        }
    }

    /// Decodes a bare deflate stream; one that is longer than the unit is read up to the unit's end.
    fn deflate(&mut self, stream: &[u8], unit: &mut [u8]) -> Result<usize, DecodeFault> {
        let context = self.deflate.get_or_insert_with(Decompressor::new);
        match context.deflate_decompress(stream, unit) {
            Ok(len) => Ok(len),
            Err(DecompressionError::InsufficientSpace) => inflate_prefix(stream, unit),
            Err(DecompressionError::BadData) => Err(DecodeFault::Damaged),
        }
    }

    /// Decodes a bare deflate stream, all of it, and returns its own length and that of what it gives. What follows the
    /// end of the stream is ignored.
    ///
    /// # Errors
    ///
    /// [`DecodeFault`]; also [`TooLong`](DecodeFault::TooLong) where the end does not come within the unit.
    pub fn inflate_exactly(&mut self, stream: &[u8], unit: &mut [u8]) -> Result<(usize, usize), DecodeFault> {
        let context = self.inflate.get_or_insert_with(|| Decompress::new(false));
        context.reset(false);
        match context.decompress(stream, unit, FlushDecompress::Finish) {
            Ok(flate2::Status::StreamEnd) => Ok((position(context.total_in()), position(context.total_out()))),
            Ok(_) if position(context.total_out()) == unit.len() => Err(DecodeFault::TooLong),
            _ => Err(DecodeFault::Damaged),
        }
    }

    /// Decodes a zlib stream and verifies its checksum.
    fn zlib(&mut self, stream: &[u8], unit: &mut [u8]) -> Result<usize, DecodeFault> {
        let context = self.deflate.get_or_insert_with(Decompressor::new);
        context.zlib_decompress(stream, unit).map_err(|error| match error {
            DecompressionError::InsufficientSpace => DecodeFault::TooLong,
            DecompressionError::BadData => DecodeFault::Damaged,
        })
    }

    /// Decodes frame after frame until the unit is full or the stream ends.
    fn zstd(&mut self, stream: &[u8], unit: &mut [u8]) -> Result<usize, DecodeFault> {
        self.zstd_frames(stream, unit).map(|frames| frames.decoded)
    }

    /// Decodes Zstandard frames until the unit is full, and returns their own length and that of what they give. What follows
    /// the last of them is ignored.
    ///
    /// # Errors
    ///
    /// [`DecodeFault`]; also [`TooLong`](DecodeFault::TooLong) where the unit ends within a frame, and
    /// [`Damaged`](DecodeFault::Damaged) where the stream does.
    pub fn zstd_exactly(&mut self, stream: &[u8], unit: &mut [u8]) -> Result<(usize, usize), DecodeFault> {
        let frames = self.zstd_frames(stream, unit)?;
        match frames.ended {
            true => Ok((frames.read, frames.decoded)),
            false if frames.decoded == unit.len() => Err(DecodeFault::TooLong),
            false => Err(DecodeFault::Damaged),
        }
    }

    /// Decodes frame after frame until the unit is full or the stream ends.
    fn zstd_frames(&mut self, stream: &[u8], unit: &mut [u8]) -> Result<Frames, DecodeFault> {
        let context = self.zstd.get_or_insert_with(DCtx::create);
        let ready = context.reset(ResetDirective::SessionOnly).and_then(|_| {
            // A frame may not make us hold more than this, whatever window its header names.
            context.set_parameter(DParameter::WindowLogMax(WINDOW_LOG_MAX))
        });
        ready.map_err(|_| DecodeFault::Damaged)?;
        let mut input = InBuffer::around(stream);
        let mut output = OutBuffer::around(unit);
        let mut ended = true;
        while output.pos() < output.capacity() && input.pos() < stream.len() {
            let before = (input.pos(), output.pos());
            let wanted = context.decompress_stream(&mut output, &mut input).map_err(|_| DecodeFault::Damaged)?;
            if before == (input.pos(), output.pos()) {
                return Err(DecodeFault::Damaged);
            }
            ended = wanted == 0;
        }
        Ok(Frames { read: input.pos(), decoded: output.pos(), ended })
    }
}

/// Zstandard frames that were decoded.
struct Frames {
    /// Their own length.
    read: usize,
    /// The length of what they give.
    decoded: usize,
    /// Whether the last of them was read to its end.
    ended: bool,
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Decoder")
    }
}

/// Decodes as much of a deflate stream as fits into `unit`.
fn inflate_prefix(stream: &[u8], unit: &mut [u8]) -> Result<usize, DecodeFault> {
    let mut context = Decompress::new(false);
    loop {
        let (read, written) = (position(context.total_in()), position(context.total_out()));
        if written == unit.len() {
            return Ok(written);
        }
        let status = context.decompress(&stream[read..], &mut unit[written..], FlushDecompress::None);
        let moved = (position(context.total_in()), position(context.total_out())) != (read, written);
        match status {
            Ok(flate2::Status::StreamEnd) => return Ok(position(context.total_out())),
            Ok(_) if moved => {}
            _ => return Err(DecodeFault::Damaged),
        }
    }
}

/// A counter of bytes in a buffer as an index.
fn position(total: u64) -> usize {
    usize::try_from(total).unwrap_or(usize::MAX)
}

/// Largest window that a frame may ask for, as a log2 of bytes: 32 MiB. Not a rule of the format.
const WINDOW_LOG_MAX: u32 = 25;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::testing::{encoded, sample};

    #[test]
    fn every_codec_returns_what_went_in_and_ignores_what_follows() {
        for codec in [Codec::Deflate, Codec::Zlib, Codec::Zstd] {
            let mut stream = encoded(codec, &sample());
            stream.extend_from_slice(&[0xa5; 300]);
            let mut unit = vec![0; 20_000];
            assert_eq!(Decoder::default().decode(codec, &stream, &mut unit), Ok(20_000), "{codec}");
            assert_eq!(unit, sample(), "{codec}");
        }
    }

    #[test]
    fn a_stream_longer_than_its_unit_is_cut_for_deflate_and_an_error_for_zlib() {
        let mut unit = vec![0; 10_000];
        let mut decoder = Decoder::default();
        assert_eq!(decoder.decode(Codec::Deflate, &encoded(Codec::Deflate, &sample()), &mut unit), Ok(10_000));
        assert_eq!(unit, sample()[..10_000]);
        let zlib = encoded(Codec::Zlib, &sample());
        assert_eq!(decoder.decode(Codec::Zlib, &zlib, &mut unit), Err(DecodeFault::TooLong));
    }

    #[test]
    fn a_short_stream_says_how_much_it_gave() {
        let mut unit = vec![0; 30_000];
        for codec in [Codec::Deflate, Codec::Zlib, Codec::Zstd] {
            assert_eq!(Decoder::default().decode(codec, &encoded(codec, &sample()), &mut unit), Ok(20_000), "{codec}");
        }
    }

    #[test]
    fn cut_and_garbled_streams_are_damaged() {
        let mut unit = vec![0; 20_000];
        for codec in [Codec::Deflate, Codec::Zlib] {
            let stream = encoded(codec, &sample());
            let cut = Decoder::default().decode(codec, &stream[..stream.len() / 2], &mut unit);
            assert_eq!(cut, Err(DecodeFault::Damaged), "{codec}");
        }
        let zstd = encoded(Codec::Zstd, &sample());
        assert!(
            Decoder::default().decode(Codec::Zstd, &zstd[..zstd.len() / 2], &mut unit).is_ok_and(|len| len < 20_000)
        );
        let mut zlib = encoded(Codec::Zlib, &sample());
        *zlib.last_mut().unwrap() ^= 1;
        assert_eq!(Decoder::default().decode(Codec::Zlib, &zlib, &mut unit), Err(DecodeFault::Damaged));
        assert_eq!(Decoder::default().decode(Codec::Zstd, b"not a frame", &mut unit), Err(DecodeFault::Damaged));
    }

    #[test]
    fn two_zstd_frames_fill_one_unit() {
        let mut stream = encoded(Codec::Zstd, &sample()[..7_000]);
        stream.extend_from_slice(&encoded(Codec::Zstd, &sample()[7_000..]));
        let mut unit = vec![0; 20_000];
        assert_eq!(Decoder::default().decode(Codec::Zstd, &stream, &mut unit), Ok(20_000));
        assert_eq!(unit, sample());
    }

    #[test]
    fn frames_have_their_own_length_unless_one_goes_on_beyond_the_unit_or_the_stream() {
        let frame = encoded(Codec::Zstd, &sample());
        let stored = [frame.as_slice(), &[0xa5; 300]].concat();
        let mut unit = vec![0; 20_000];
        let mut decoder = Decoder::default();
        assert_eq!(decoder.zstd_exactly(&stored, &mut unit), Ok((frame.len(), 20_000)));
        assert_eq!(unit, sample());
        assert_eq!(decoder.zstd_exactly(&stored, &mut unit[..10_000]), Err(DecodeFault::TooLong));
        assert_eq!(decoder.zstd_exactly(&frame[..frame.len() / 2], &mut unit), Err(DecodeFault::Damaged));
    }
}
