//! What the four codecs have in common: bytes in, bytes out, member after member.

use imgfmt_core::{Error, Result};

/// What one [`Coder::step`] has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Step {
    /// Bytes of the input that are used up.
    pub(crate) consumed: usize,
    /// Bytes of the output that are written.
    pub(crate) produced: usize,
    /// Whether the member has ended and its checksums are right.
    pub(crate) ended: bool,
}

/// Decodes one member of a compressed file: a gzip member, an xz stream, a zstd frame, a bzip2 stream.
pub(crate) trait Coder: Send {
    /// Decodes from `input` into `output`, as far as either goes. A step that does nothing wants more of what was empty.
    ///
    /// # Errors
    ///
    /// [`Malformed`](imgfmt_core::ErrorKind::Malformed) for a damaged member,
    /// [`LimitExceeded`](imgfmt_core::ErrorKind::LimitExceeded) for one that takes too much memory.
    fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step>;

    /// Gets ready for the next member.
    ///
    /// # Errors
    ///
    /// [`Io`](imgfmt_core::ErrorKind::Io) where there is no memory for it.
    fn restart(&mut self) -> Result<()>;
}

/// What may stand between and behind the members of a file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Framing {
    /// Whether these first bytes of what follows a member, up to [`HEAD_LEN`] of them, are those of another one.
    pub(crate) begins: fn(&[u8]) -> bool,
    /// What zeros behind a member are.
    pub(crate) padding: Padding,
}

/// What zeros behind a member are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Padding {
    /// As wrong as anything else that is no member.
    None,
    /// The rest of the last record of a tape: nothing else follows. gzip(1), "Tape usage".
    Tail,
    /// Stream padding in multiples of four bytes, between members too. The .xz File Format 1.2.1, section 2.2.
    Words,
}

/// Bytes of a member that tell that it is one.
pub(crate) const HEAD_LEN: usize = 8;

/// Decodes all of `stored`, which holds `len` bytes, with a new `coder`. What comes before a block in its stream, such as
/// the header with the kind of the checksum, is `prefix`.
///
/// # Errors
///
/// [`Malformed`](imgfmt_core::ErrorKind::Malformed) where it holds more or less, or is not one whole member; a member
/// with a prefix need not end, for its end belongs to the stream.
pub(crate) fn decode_member(coder: &mut dyn Coder, prefix: &[u8], stored: &[u8], len: usize) -> Result<Vec<u8>> {
    // One byte more than there may be, to notice it.
    let mut bytes = vec![0; len + 1];
    let mut produced = 0;
    let mut ended = false;
    for part in [prefix, stored] {
        let mut rest = part;
        while !ended {
            let step = coder.step(rest, &mut bytes[produced..])?;
            rest = &rest[step.consumed..];
            produced += step.produced;
            ended = step.ended;
            if step.consumed == 0 && step.produced == 0 {
                break;
            }
        }
        if !rest.is_empty() {
            return Err(Error::malformed(format!("a block of {len} bytes holds more than that")));
        }
    }
    if produced != len || (prefix.is_empty() && !ended) {
        return Err(Error::malformed(format!("a block of {len} bytes ends after {produced}")));
    }
    bytes.truncate(len);
    Ok(bytes)
}
