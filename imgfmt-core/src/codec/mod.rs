//! Compression: whole blocks in, whole blocks out, and the one place where libraries are chosen.
//!
//! | codec | decode | encode | why |
//! |---|---|---|---|
//! | deflate, zlib | libdeflate, then zlib-rs for what it refuses | libdeflate; zlib-rs for small windows | fastest for whole blocks |
//! | zstd | libzstd | libzstd | the reference implementation |

mod decode;
mod encode;

use std::fmt;

pub use decode::{DecodeFault, Decoder};
pub use encode::{Compression, Encoder};

/// How a unit is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Codec {
    /// A bare deflate stream, RFC 1951.
    ///
    /// A stream that is longer than its unit is read up to the unit's end, as QEMU does.
    Deflate,
    /// A zlib stream, RFC 1950: deflate between a header and an Adler-32 checksum, which is verified.
    Zlib,
    /// One or more Zstandard frames, RFC 8878.
    Zstd,
}

impl Codec {
    /// The name in lower case, as it appears in options and output.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Deflate => "deflate",
            Self::Zlib => "zlib",
            Self::Zstd => "zstd",
        }
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How many bytes to leave off at the start and at the end of a stream of `from` to have a stream of `to`
/// with the same compressed body. `None` where the two have no body in common.
///
/// What follows the end of the stream within its bytes may stay there; decoders stop at the end.
#[must_use]
pub fn rewrap_margins(from: Codec, to: Codec) -> Option<(usize, usize)> {
    match (from, to) {
        (Codec::Zlib, Codec::Deflate) => Some((ZLIB_HEADER_LEN, ZLIB_CHECKSUM_LEN)),
        (from, to) if from == to => Some((0, 0)),
        _ => None,
    }
}

/// Bytes before the deflate body in a zlib stream without a preset dictionary. RFC 1950, section 2.2.
const ZLIB_HEADER_LEN: usize = 2;
/// Bytes of the Adler-32 behind the body. RFC 1950, section 2.2.
const ZLIB_CHECKSUM_LEN: usize = 4;
