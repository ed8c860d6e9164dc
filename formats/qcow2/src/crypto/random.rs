//! Where salts and keys come from.

use imgfmt_core::{Error, ErrorKind, Result};

/// Fills bytes with what nobody can guess.
pub(crate) type Random = fn(&mut [u8]) -> Result<()>;

/// What a test can guess: bytes that count up.
#[cfg(test)]
#[expect(clippy::unnecessary_wraps, reason = "it stands for one that can fail")]
pub(crate) fn counting(bytes: &mut [u8]) -> Result<()> {
    bytes.iter_mut().zip(1..).for_each(|(byte, number): (_, usize)| *byte = ((number * 37) >> 2) as u8);
    Ok(())
}

/// Fills `bytes` from the operating system's generator.
///
/// # Errors
///
/// [`Io`](imgfmt_core::ErrorKind::Io) where it has none.
pub(crate) fn from_system(bytes: &mut [u8]) -> Result<()> {
    getrandom::fill(bytes).map_err(|e| Error::new(ErrorKind::Io, format!("cannot get random bytes for a key: {e}")))
}
