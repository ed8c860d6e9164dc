//! Big-endian integers of a structure in memory, and the errors about them.

use crate::{Error, Limits, Result};
use byteorder::{BigEndian, ByteOrder};

/// A structure in memory, or as much of it as the file has.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a> {
    /// The bytes.
    bytes: &'a [u8],
    /// Host byte of the first of them.
    start: u64,
}

impl<'a> Fields<'a> {
    /// The structure in `bytes`, which lies at host byte `start`.
    pub fn new(bytes: &'a [u8], start: u64) -> Self {
        Self { bytes, start }
    }

    /// The `len` bytes from byte `at` of the structure on.
    ///
    /// # Errors
    ///
    /// [`OutOfBounds`](crate::ErrorKind::OutOfBounds) where the structure is shorter.
    pub fn bytes(&self, at: usize, len: usize) -> Result<&'a [u8]> {
        at.checked_add(len).and_then(|end| self.bytes.get(at..end)).ok_or_else(|| {
            let end = self.host(self.bytes.len());
            Error::out_of_bounds(format!("{len} bytes are wanted here, but there are none from byte {end} on"))
                .at(self.host(at))
        })
    }

    /// The 16-bit integer at byte `at`.
    ///
    /// # Errors
    ///
    /// As [`bytes`](Self::bytes).
    pub fn u16(&self, at: usize) -> Result<u16> {
        self.bytes(at, 2).map(BigEndian::read_u16)
    }

    /// The 32-bit integer at byte `at`.
    ///
    /// # Errors
    ///
    /// As [`bytes`](Self::bytes).
    pub fn u32(&self, at: usize) -> Result<u32> {
        self.bytes(at, 4).map(BigEndian::read_u32)
    }

    /// The 64-bit integer at byte `at`.
    ///
    /// # Errors
    ///
    /// As [`bytes`](Self::bytes).
    pub fn u64(&self, at: usize) -> Result<u64> {
        self.bytes(at, 8).map(BigEndian::read_u64)
    }

    /// Host byte of byte `at` of the structure.
    pub fn host(&self, at: usize) -> u64 {
        self.start.saturating_add(at as u64)
    }
}

/// Where a field is, in the specification's spelling: what every error about it says.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// The field's name.
    pub name: &'static str,
    /// Its host byte.
    pub at: u64,
}

impl Place {
    /// The field called `name` at byte `at` of the header.
    pub fn in_header(name: &'static str, at: usize) -> Self {
        Self { name, at: at as u64 }
    }

    /// `error`, about this field.
    pub fn tell(self, error: Error) -> Error {
        error.field(self.name).at(self.at)
    }

    /// A rule that the field breaks.
    pub fn malformed(self, what: impl Into<String>) -> Error {
        self.tell(Error::malformed(what))
    }

    /// A value that is not known here.
    pub fn unsupported(self, what: impl Into<String>) -> Error {
        self.tell(Error::unsupported(what))
    }

    /// Checks that `value` is at most `limit`.
    ///
    /// # Errors
    ///
    /// [`LimitExceeded`](crate::ErrorKind::LimitExceeded) about this field.
    pub fn limited(self, value: u64, limit: u64) -> Result<()> {
        Limits::check(self.name, value, limit).map_err(|e| self.tell(e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    #[test]
    fn what_is_not_there_is_out_of_bounds_at_its_host_byte() {
        let fields = Fields::new(&[0, 0, 0, 7, 1, 2], 100);
        assert_eq!(fields.u32(0).unwrap(), 7);
        assert_eq!(fields.u16(4).unwrap(), 0x0102);
        let error = fields.u64(2).unwrap_err();
        assert_eq!((error.kind(), error.offset()), (ErrorKind::OutOfBounds, Some(102)));
        assert!(fields.bytes(usize::MAX, 2).is_err());
    }
}
