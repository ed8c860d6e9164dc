//! Bytes that come one after the other, and where they are in the file that they would be.

use std::io::{ErrorKind, Read};

use imgfmt_core::{Error, Result};

use crate::NAME;
use crate::layout::{HEADER_LEN, SECTOR_LEN, byte_of};

/// What is still to come.
pub(super) struct Input {
    /// The bytes.
    inner: Box<dyn Read + Send>,
    /// How many have come.
    at: u64,
}

impl Input {
    /// What `inner` brings behind the first `at` bytes.
    pub(super) fn new(inner: Box<dyn Read + Send>, at: u64) -> Self {
        Self { inner, at }
    }

    /// The sector that comes next; all is read in whole sectors.
    pub(super) fn sector(&self) -> u64 {
        self.at / SECTOR_LEN
    }

    /// The next sector.
    pub(super) fn read_sector(&mut self) -> Result<[u8; HEADER_LEN]> {
        let mut sector = [0; HEADER_LEN];
        self.inner.read_exact(&mut sector).map_err(|e| self.failed(e, "a marker, before its footer"))?;
        self.at += SECTOR_LEN;
        Ok(sector)
    }

    /// Appends the next `len` bytes, which are `what`, to `bytes`.
    pub(super) fn append(&mut self, bytes: &mut Vec<u8>, len: u64, what: &str) -> Result<()> {
        let read = self.inner.by_ref().take(len).read_to_end(bytes).map_err(|e| self.failed(e, what))?;
        if (read as u64) < len {
            return Err(self.failed(ErrorKind::UnexpectedEof.into(), what));
        }
        self.at += len;
        Ok(())
    }

    /// Passes over what comes before `sector`.
    pub(super) fn skip_to(&mut self, sector: u64) -> Result<()> {
        let Some(gap) = byte_of(sector).checked_sub(self.at) else {
            let what = format!("a grain starts here, and the one before goes on to byte {}", self.at);
            return Err(Error::malformed(what).at(byte_of(sector)).in_format(NAME));
        };
        let passed = std::io::copy(&mut self.inner.by_ref().take(gap), &mut std::io::sink());
        let passed = passed.map_err(|e| self.failed(e, "what lies between grains"))?;
        self.at += passed;
        if passed < gap {
            return Err(self.failed(ErrorKind::UnexpectedEof.into(), "what lies between grains"));
        }
        Ok(())
    }

    /// Passes over the rest, as much as it may sensibly be, so that whoever writes it does not fail.
    pub(super) fn drain(&mut self) -> Result<()> {
        let rest = std::io::copy(&mut self.inner.by_ref().take(MAX_REST), &mut std::io::sink());
        rest.map(drop).map_err(|e| self.failed(e, "what follows the last grain"))
    }

    /// Checks that no more than zeros follow the footer: the end-of-stream marker, and padding.
    pub(super) fn expect_end(&mut self) -> Result<()> {
        let mut rest = Vec::new();
        let bounded = self.inner.by_ref().take(MAX_PADDING + 1);
        read_all(bounded, &mut rest).map_err(|e| self.failed(e, "what follows the footer"))?;
        let junk = rest.iter().position(|&byte| byte != 0);
        let too_long = (rest.len() as u64 > MAX_PADDING).then_some(rest.len());
        match junk.or(too_long) {
            None => Ok(()),
            Some(place) => {
                let what = "something else than the end of the stream follows its footer";
                Err(Error::malformed(what).at(self.at + place as u64).in_format(NAME))
            }
        }
    }

    /// The error of a read of `what`.
    fn failed(&self, error: std::io::Error, what: &str) -> Error {
        if error.kind() == ErrorKind::UnexpectedEof {
            let what = format!("the stream ends within {what}: it is cut short");
            return Error::out_of_bounds(what).at(self.at).in_format(NAME);
        }
        Error::io("cannot read the stream", error).at(self.at).in_format(NAME)
    }
}

/// Reads all that `from` has.
fn read_all(mut from: impl Read, bytes: &mut Vec<u8>) -> std::io::Result<()> {
    from.read_to_end(bytes).map(drop)
}

/// Bytes of zeros behind a footer that are passed over. Not a rule of the format.
const MAX_PADDING: u64 = 1 << 20;
/// Bytes that are passed over behind the last grain: tables, a directory, padding.
const MAX_REST: u64 = 256 << 20;
