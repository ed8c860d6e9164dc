//! Where salts and keys come from.

use imgfmt_core::{Error, ErrorKind, Result};

/// Fills bytes with what nobody can guess.
pub type Random = fn(&mut [u8]) -> Result<()>;

/// What a test can guess: bytes that count up.
///
/// # Errors
///
/// None; it stands for one that can fail.
#[cfg(any(test, feature = "testing"))]
pub fn counting(bytes: &mut [u8]) -> Result<()> {
    bytes.iter_mut().zip(1..).for_each(|(byte, number): (_, usize)| *byte = ((number * 37) >> 2) as u8);
    Ok(())
}

/// Fills `bytes` from the operating system's generator.
///
/// # Errors
///
/// [`Io`](imgfmt_core::ErrorKind::Io) where it has none.
pub fn from_system(bytes: &mut [u8]) -> Result<()> {
    getrandom::fill(bytes).map_err(|e| Error::new(ErrorKind::Io, format!("cannot get random bytes for a key: {e}")))
}
