//! Codecs: units go there and back, and streams that nobody wrote do no harm.

use arbitrary::Arbitrary;
use imgfmt_core::Codec;
use imgfmt_core::codec::{Compression, Decoder, Encoder, Rewrap, rewrap};

/// Bytes to encode, or to take for a stream.
#[derive(Arbitrary, Debug)]
pub struct Coding {
    /// Which codec.
    codec: u8,
    /// Which level, modulo those that it has.
    level: u8,
    /// log2 of the window, modulo those that there are.
    window: u8,
    /// Length of the unit that the stream is decoded to.
    unit: u16,
    /// The bytes.
    bytes: Vec<u8>,
}

impl Coding {
    /// Encodes the bytes and decodes them again; then decodes them as if they were a stream.
    ///
    /// # Panics
    ///
    /// Where what comes back differs, or a decoder contradicts itself.
    pub fn check(&self) {
        let codec = [Codec::Deflate, Codec::Zlib, Codec::Zstd][usize::from(self.codec % 3)];
        self.there_and_back(codec);
        self.as_stream(codec);
    }

    /// Encodes, re-wraps where that can be, and decodes.
    fn there_and_back(&self, codec: Codec) {
        let mut stream = vec![0; self.bytes.len() * 2 + 1000];
        let level = 1 + i32::from(self.level) % max_level(codec);
        let window_bits = 9 + self.window % 7;
        let compression = Compression { level: Some(level), window_bits, ..Compression::new(codec, stream.len()) };
        let mut encoder = Encoder::new(&compression).expect("level and window are within their ranges");
        let len = encoder.encode(&self.bytes, &mut stream).expect("there is memory").expect("there is room");
        let mut unit = vec![0xa5; self.bytes.len()];
        assert_eq!(Decoder::default().decode(codec, &stream[..len], &mut unit), Ok(unit.len()));
        assert!(unit == self.bytes, "{codec} returns something else");
        if let Some(Rewrap::Strip(front, back)) = rewrap(codec, Codec::Deflate) {
            unit.fill(0xa5);
            let body = &stream[front..len - back];
            assert_eq!(Decoder::default().decode(Codec::Deflate, body, &mut unit), Ok(unit.len()));
            assert!(unit == self.bytes, "the body of {codec} is something else");
        }
    }

    /// Decodes the bytes into a unit, and again with a used context into one that is too short.
    fn as_stream(&self, codec: Codec) {
        let mut decoder = Decoder::default();
        let mut unit = vec![0xa5; usize::from(self.unit)];
        let decoded = decoder.decode(codec, &self.bytes, &mut unit);
        let mut short = vec![0x5a; unit.len() / 2];
        let again = decoder.decode(codec, &self.bytes, &mut short);
        // zlib wants the stream to end with its unit; the others give what fits.
        if let (Ok(len), Ok(short_len)) = (decoded, again) {
            assert_eq!(short_len, len.min(short.len()), "{codec} gives another length");
            assert!(short[..short_len] == unit[..short_len], "{codec} decodes to something else");
        }
    }
}

/// The highest level that is tried.
///
/// From 11 on, Zstandard has a table of constants in a function that GCC keeps in static memory, and GCC's
/// AddressSanitizer takes a second look at it for a use after its scope.
fn max_level(codec: Codec) -> i32 {
    if codec == Codec::Zstd { 10 } else { *Compression::levels(codec).end() }
}
