//! The grain directories of an extent that is being edited.

use imgfmt_core::Result;

use super::grains::Grains;
use crate::layout::{ENTRY_LEN, byte_of};

/// Which of the two directories.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    /// The one that readers use.
    First,
    /// The redundant one.
    Spare,
}

impl Grains {
    /// The entries of a directory, where it is there.
    pub(super) fn directory(&self, which: Which) -> Option<&Vec<u32>> {
        match which {
            Which::First => Some(&self.first),
            Which::Spare => self.spare.as_ref(),
        }
    }

    /// The host byte of a directory, where it is there.
    pub(super) fn directory_at(&self, which: Which) -> Option<u64> {
        match which {
            Which::First => Some(byte_of(self.header.gd_offset)),
            Which::Spare => self.header.redundant_directory().map(byte_of),
        }
    }

    /// Writes the entry of table number `index`.
    pub(super) fn write_directory_entry(&self, index: u64, which: Which) -> Result<()> {
        let slot = usize::try_from(index).unwrap_or(usize::MAX);
        let entry = self.directory(which).and_then(|directory| directory.get(slot));
        match entry.zip(self.directory_at(which)) {
            Some((entry, at)) => self.medium.write_at(&entry.to_le_bytes(), at + index * ENTRY_LEN),
            None => Ok(()),
        }
    }
}
