//! Encoding of whole units.

use std::fmt;

use flate2::{Compress, FlushCompress, Status};
use libdeflater::{CompressionLvl, Compressor};
use zstd::zstd_safe::{CCtx, CParameter};

use super::Codec;
use crate::{Error, Result};

/// How a writer wants its units compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compression {
    /// The codec.
    pub codec: Codec,
    /// The level in the codec's own scale, or `None` for the default of this library. A caller who
    /// names a level wants units compressed anew that are compressed already.
    pub level: Option<i32>,
    /// log2 of the deflate window in bytes, 9 to 15. 15 unless a reader is known to need less.
    pub window_bits: u8,
    /// Longest stream worth storing; a unit that takes more is stored plain.
    pub max_len: usize,
}

impl Compression {
    /// Compression with `codec` at its default level into streams of at most `max_len` bytes.
    #[must_use]
    pub fn new(codec: Codec, max_len: usize) -> Self {
        Self { codec, level: None, window_bits: FULL_WINDOW_BITS, max_len }
    }

    /// The levels that `codec` knows, in its own scale.
    #[must_use]
    pub fn levels(codec: Codec) -> std::ops::RangeInclusive<i32> {
        match codec {
            Codec::Deflate | Codec::Zlib => 1..=12,
            Codec::Zstd => 1..=22,
        }
    }

    /// Whether streams of `source` may be stored as they are: the codec fits, no level was asked for,
    /// and no small window that they might not keep.
    #[must_use]
    pub fn takes(&self, source: Codec) -> bool {
        super::rewrap(source, self.codec).is_some() && self.level.is_none() && self.window_bits == FULL_WINDOW_BITS
    }
}

/// Encodes whole units with one [`Compression`]; the context is used again.
pub struct Encoder {
    /// The library's context.
    context: Context,
    /// Longest stream to return.
    max_len: usize,
}

/// The context of the library that fits.
enum Context {
    /// Bare deflate with the full window.
    Deflate(Compressor),
    /// zlib with the full window.
    Zlib(Compressor),
    /// Deflate or zlib with a smaller window, and how to make the context anew.
    SmallWindow(Box<Compress>, Compression),
    /// Zstandard.
    Zstd(CCtx<'static>),
}

impl Encoder {
    /// Makes an encoder.
    ///
    /// # Errors
    ///
    /// [`Invalid`](crate::ErrorKind::Invalid) where the level or the window is outside what the codec knows.
    pub fn new(compression: &Compression) -> Result<Self> {
        let levels = Compression::levels(compression.codec);
        if let Some(level) = compression.level.filter(|level| !levels.contains(level)) {
            let what = format!("compression level {level} is outside {levels:?} of {}", compression.codec);
            return Err(Error::invalid(what));
        }
        if !(SMALLEST_WINDOW_BITS..=FULL_WINDOW_BITS).contains(&compression.window_bits) {
            let what = format!("a window of 2^{} bytes is outside 2^9 to 2^15", compression.window_bits);
            return Err(Error::invalid(what));
        }
        Ok(Self { context: Context::new(compression)?, max_len: compression.max_len })
    }

    /// Compresses `unit` into the start of `out` and returns the length of the stream, or `None` where it
    /// would be longer than `out` or than [`Compression::max_len`].
    ///
    /// # Errors
    ///
    /// [`Io`](crate::ErrorKind::Io) where the library fails for want of memory.
    pub fn encode(&mut self, unit: &[u8], out: &mut [u8]) -> Result<Option<usize>> {
        let room = out.len().min(self.max_len);
        let out = &mut out[..room];
        match &mut self.context {
            Context::Deflate(context) => Ok(context.deflate_compress(unit, out).ok()),
            Context::Zlib(context) => Ok(context.zlib_compress(unit, out).ok()),
            Context::SmallWindow(context, compression) => small_window(context, compression, unit, out),
            Context::Zstd(context) => match context.compress2(out, unit) {
                Ok(len) => Ok(Some(len)),
                Err(_) => Ok(None),
            },
        }
    }
}

impl Context {
    /// The context for `compression`, whose ranges have been checked.
    fn new(compression: &Compression) -> Result<Self> {
        if compression.codec == Codec::Zstd {
            let mut context = CCtx::create();
            let level = CParameter::CompressionLevel(compression.level.unwrap_or(ZSTD_LEVEL));
            context.set_parameter(level).map_err(|_| Error::invalid("libzstd does not take this level"))?;
            return Ok(Self::Zstd(context));
        }
        if compression.window_bits < FULL_WINDOW_BITS {
            return Ok(Self::SmallWindow(Box::new(small_window_context(compression)), *compression));
        }
        let zlib = compression.codec == Codec::Zlib;
        let level = compression.level.unwrap_or(DEFLATE_LEVEL);
        let level = CompressionLvl::new(level).map_err(|_| Error::invalid("libdeflate does not take this level"))?;
        let context = Compressor::new(level);
        Ok(if zlib { Self::Zlib(context) } else { Self::Deflate(context) })
    }
}

impl fmt::Debug for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Encoder")
    }
}

/// A context for a window smaller than the full one.
fn small_window_context(compression: &Compression) -> Compress {
    let level = compression.level.unwrap_or(DEFLATE_LEVEL).min(9);
    let level = flate2::Compression::new(u32::try_from(level).unwrap_or(6));
    Compress::new_with_window_bits(level, compression.codec == Codec::Zlib, compression.window_bits)
}

/// Compresses one unit with a window smaller than the full one.
fn small_window(
    context: &mut Compress,
    compression: &Compression,
    unit: &[u8],
    out: &mut [u8],
) -> Result<Option<usize>> {
    let status = context
        .compress(unit, out, FlushCompress::Finish)
        .map_err(|e| Error::io("cannot compress", std::io::Error::other(e)))?;
    if status == Status::StreamEnd {
        let len = usize::try_from(context.total_out()).unwrap_or(usize::MAX);
        context.reset();
        return Ok(Some(len));
    }
    // Bytes that found no room in `out` still take room in the context after a reset of zlib-rs 0.6.8, which
    // panics once there is too little left.
    *context = small_window_context(compression);
    Ok(None)
}

/// log2 of deflate's full window. RFC 1951, section 2.
const FULL_WINDOW_BITS: u8 = 15;
/// log2 of the smallest window that zlib-rs knows.
const SMALLEST_WINDOW_BITS: u8 = 9;
/// libdeflate's level by default: smaller than zlib's level 6, at three times the speed.
const DEFLATE_LEVEL: i32 = 3;
/// libzstd's own default level.
const ZSTD_LEVEL: i32 = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Decoder;

    /// Bytes that do not compress.
    fn noise(len: u64) -> Vec<u8> {
        let mix = |i: u64| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (i << 32)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (0..len).map(|i| (mix(mix(i) >> 7) >> 56) as u8).collect()
    }

    #[test]
    fn what_does_not_shrink_is_none() {
        let noise = noise(4096);
        for codec in [Codec::Deflate, Codec::Zlib, Codec::Zstd] {
            let mut encoder = Encoder::new(&Compression::new(codec, 64)).unwrap();
            assert_eq!(encoder.encode(&noise, &mut [0; 8192]).unwrap(), None, "{codec}");
        }
    }

    #[test]
    fn a_small_window_is_kept() {
        // Two copies of noise, 5000 bytes apart: a window of 4 KiB cannot see the first from the second.
        let noise = noise(5000);
        let twice = [noise.clone(), noise].concat();
        let lens = [12, 15].map(|window_bits| {
            let compression = Compression { window_bits, ..Compression::new(Codec::Deflate, 20_000) };
            let mut encoder = Encoder::new(&compression).unwrap();
            let mut out = [0; 20_000];
            let len = encoder.encode(&twice, &mut out).unwrap().unwrap();
            let mut back = vec![0; twice.len()];
            assert_eq!(Decoder::default().decode(Codec::Deflate, &out[..len], &mut back), Ok(twice.len()));
            assert_eq!(back, twice);
            len
        });
        assert!(lens[0] > 9_000 && lens[1] < 6_000, "{lens:?}");
    }

    #[test]
    fn a_small_window_goes_on_after_a_unit_that_does_not_fit() {
        // Matches of few bytes each, which take more room than literals do.
        let pairs: Vec<u8> = noise(40_000).iter().flat_map(|byte| [byte / 4, byte % 4, 7, byte / 64]).collect();
        let compression = Compression { window_bits: 12, ..Compression::new(Codec::Deflate, 1 << 18) };
        let mut encoder = Encoder::new(&compression).unwrap();
        let mut out = vec![0; 1 << 18];
        for room in (0..60_000).step_by(2500) {
            assert_eq!(encoder.encode(&pairs, &mut out[..room]).unwrap(), None, "{room}");
        }
        let len = encoder.encode(&pairs, &mut out).unwrap().unwrap();
        let mut back = vec![0; pairs.len()];
        assert_eq!(Decoder::default().decode(Codec::Deflate, &out[..len], &mut back), Ok(pairs.len()));
        assert_eq!(back, pairs);
    }

    #[test]
    fn levels_and_windows_outside_the_range_are_refused() {
        let of =
            |level, window_bits| Compression { level: Some(level), window_bits, ..Compression::new(Codec::Deflate, 9) };
        assert!(Encoder::new(&of(13, 15)).is_err());
        assert!(Encoder::new(&of(0, 15)).is_err());
        assert!(Encoder::new(&of(6, 16)).is_err());
        assert!(Encoder::new(&of(12, 15)).is_ok());
    }
}
