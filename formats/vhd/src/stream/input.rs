//! Bytes that arrive.

use std::io::Read;

use imgfmt_core::{Error, Result};

use crate::footer::Footer;
use crate::layout::{FOOTER_COOKIE, FOOTER_LEN, OLD_FOOTER_LEN};

/// Bytes that arrive, and how many have.
pub(super) struct Input {
    /// Where they come from.
    inner: Box<dyn Read + Send>,
    /// Bytes that were taken.
    pub(super) at: u64,
}

impl Input {
    /// What comes from `inner`, whose first byte is the file's.
    pub(super) fn new(inner: Box<dyn Read + Send>) -> Self {
        Self { inner, at: 0 }
    }

    /// What is still to come.
    pub(super) fn into_inner(self) -> Box<dyn Read + Send> {
        self.inner
    }

    /// Appends up to `len` bytes to `bytes`, fewer only at the end; returns how many.
    pub(super) fn fill(&mut self, bytes: &mut Vec<u8>, len: usize) -> Result<usize> {
        let taken = Read::take(&mut self.inner, len as u64).read_to_end(bytes);
        let taken = taken.map_err(Error::from_read)?;
        self.at += taken as u64;
        Ok(taken)
    }

    /// Appends `len` bytes to `bytes`.
    pub(super) fn fill_all(&mut self, bytes: &mut Vec<u8>, len: usize) -> Result<()> {
        let filled = self.fill(bytes, len)?;
        if filled == len {
            return Ok(());
        }
        Err(Error::out_of_bounds(format!("{len} bytes are wanted here, but the input ends after {filled}"))
            .at(self.at - filled as u64))
    }

    /// Leaves out what comes before byte `at`.
    pub(super) fn skip_to(&mut self, at: u64) -> Result<()> {
        let skipped = std::io::copy(&mut Read::take(&mut self.inner, at.saturating_sub(self.at)), &mut std::io::sink());
        self.at += skipped.map_err(Error::from_read)?;
        if self.at < at {
            return Err(Error::out_of_bounds(format!(
                "a block is to start here, but the input ends at byte {}",
                self.at
            ))
            .at(at));
        }
        Ok(())
    }

    /// Reads up to the end, and returns the last bytes: as many as a footer has, or fewer.
    pub(super) fn last(&mut self) -> Result<Vec<u8>> {
        let mut last = Vec::new();
        loop {
            last.drain(..last.len().saturating_sub(FOOTER_LEN));
            if self.fill(&mut last, CHUNK_LEN)? == 0 {
                return Ok(last);
            }
        }
    }
}

/// The footer that `last`, the last bytes of a file, end with, and the bytes before it. A footer of 511 bytes may leave one.
pub(super) fn footer_in(last: &[u8]) -> Result<(Footer, &[u8])> {
    for len in [FOOTER_LEN, OLD_FOOTER_LEN] {
        if let Some((before, footer)) = last.split_at_checked(last.len().wrapping_sub(len))
            && footer.starts_with(&FOOTER_COOKIE)
        {
            let mut bytes = [0; FOOTER_LEN];
            bytes[..len].copy_from_slice(footer);
            return Ok((Footer::parse(&bytes)?, before));
        }
    }
    Err(Error::out_of_bounds("the input does not end with a footer: it is cut, or no VHD that can be read in one pass"))
}

/// Bytes that are looked at for a footer at once.
const CHUNK_LEN: usize = 64 << 10;
