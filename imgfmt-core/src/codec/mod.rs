//! Compression: whole blocks in, whole blocks out, and the one place where libraries are chosen.
//!
//! | codec | decode | encode | why |
//! |---|---|---|---|
//! | deflate, zlib | libdeflate, then zlib-rs for what it refuses | libdeflate; zlib-rs for small windows | fastest for whole blocks |
//! | zstd | libzstd | libzstd | the reference implementation |
//!
//! A stream whose exact end has to be found is inflated by zlib-rs: libdeflate does not tell it. Adler-32 is simd-adler32's.

mod decode;
mod encode;
mod rewrap;
#[cfg(test)]
mod testing;

use std::fmt;

pub use decode::{DecodeFault, Decoder};
pub use encode::{Compression, Encoder};
pub use rewrap::{Rewrap, ZLIB_FRAME_LEN, frame_zlib, rewrap};

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
