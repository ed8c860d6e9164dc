//! Bounds on what a file may ask for.

use crate::{Error, Result};

/// Sizes, counts and depths that a file may not pass. No allocation is sized by a file without one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Guest bytes of a virtual disk.
    pub virtual_size: u64,
    /// Bytes of one table or structure held in memory.
    pub metadata_bytes: u64,
    /// Guest bytes of one compressed unit, and so of the buffers to decode it.
    pub unit_bytes: u64,
    /// Layers of a chain, the top one counted.
    pub chain_depth: usize,
    /// Files that one layer may consist of.
    pub extents: usize,
    /// Bytes of a text descriptor.
    pub descriptor_bytes: u64,
    /// Header extensions, snapshots and the like: items in a list in one header.
    pub items: u64,
    /// Bytes of a temporary file that an image is unpacked into.
    pub spool_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            virtual_size: i64::MAX as u64,
            metadata_bytes: 32 << 20,
            unit_bytes: 32 << 20,
            chain_depth: 64,
            extents: 4096,
            descriptor_bytes: 1 << 20,
            items: 65_536,
            spool_bytes: 1 << 40,
        }
    }
}

impl Limits {
    /// Checks that `value`, which a file gives for `field`, is at most `limit`.
    ///
    /// # Errors
    ///
    /// [`LimitExceeded`](crate::ErrorKind::LimitExceeded), with the field and both numbers.
    pub fn check(field: &'static str, value: u64, limit: u64) -> Result<()> {
        if value <= limit {
            return Ok(());
        }
        Err(Error::limit(format!("is {value}, above the limit of {limit}")).field(field))
    }

    /// The length in memory of a table of `entries` of `entry_len` bytes each.
    ///
    /// # Errors
    ///
    /// [`LimitExceeded`](crate::ErrorKind::LimitExceeded) above `metadata_bytes`.
    pub fn table_len(&self, field: &'static str, entries: u64, entry_len: u64) -> Result<usize> {
        let len = entries.saturating_mul(entry_len);
        Self::check(field, len, self.metadata_bytes)?;
        usize::try_from(len)
            .map_err(|_| Error::limit(format!("is {len} bytes, above this machine's memory")).field(field))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    #[test]
    fn a_table_beyond_the_limit_is_its_own_kind_of_error() {
        let limits = Limits::default();
        assert_eq!(limits.table_len("l1_size", 8, 8).unwrap(), 64);
        let error = limits.table_len("l1_size", u64::from(u32::MAX), 8).unwrap_err();
        assert_eq!((error.kind(), error.field_name()), (ErrorKind::LimitExceeded, Some("l1_size")));
        assert!(limits.table_len("l1_size", u64::MAX, 8).is_err());
    }
}
