//! Footers and headers as they lie in a file, to be changed: fields that nothing here knows stay as they are.

use imgfmt_core::{Result, Storage, StorageExt};
use uuid::Uuid;

use crate::footer::DiskType;
use crate::geometry::Geometry;
use crate::header::Locator;
use crate::layout::{
    CURRENT_SIZE_AT, DATA_OFFSET_AT, DISK_TYPE_AT, FOOTER_CHECKSUM_AT, FOOTER_LEN, GEOMETRY_AT, HEADER_CHECKSUM_AT,
    HEADER_LEN, LOCATOR_COUNT, LOCATOR_DATA_LEN_AT, LOCATOR_LEN, LOCATOR_OFFSET_AT, LOCATOR_SPACE_AT, LOCATORS_AT,
    MAX_TABLE_ENTRIES_AT, PARENT_ID_AT, PARENT_NAME_AT, PARENT_NAME_LEN, PARENT_TIME_AT, TABLE_OFFSET_AT, checksum,
};

/// The bytes of a footer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RawFooter(pub(crate) [u8; FOOTER_LEN]);

impl RawFooter {
    /// Reads the footer at byte `at`; of one of 511 bytes, the last one is 0.
    pub(crate) fn read(storage: &dyn Storage, at: u64) -> Result<Self> {
        let mut bytes = [0; FOOTER_LEN];
        storage.read_padded(&mut bytes, at)?;
        Ok(Self(bytes))
    }

    /// The same for a disk of `size` bytes.
    pub(crate) fn with_size(mut self, size: u64) -> Self {
        put(&mut self.0, CURRENT_SIZE_AT, &size.to_be_bytes());
        put(&mut self.0, GEOMETRY_AT, &Geometry::exact(size).to_bytes());
        self.summed()
    }

    /// The same for a disk of another type, whose header is at byte `at`.
    pub(crate) fn with_header(mut self, disk_type: DiskType, at: u64) -> Self {
        put(&mut self.0, DISK_TYPE_AT, &disk_type.number().to_be_bytes());
        put(&mut self.0, DATA_OFFSET_AT, &at.to_be_bytes());
        self.summed()
    }

    /// The same with the right checksum.
    pub(crate) fn summed(mut self) -> Self {
        let sum = checksum(&self.0, FOOTER_CHECKSUM_AT);
        put(&mut self.0, FOOTER_CHECKSUM_AT, &sum.to_be_bytes());
        self
    }

    /// The same with a checksum that cannot be right: a footer that does not count.
    pub(crate) fn spoiled(self) -> Self {
        let mut spoiled = self.summed();
        spoiled.0[FOOTER_CHECKSUM_AT..FOOTER_CHECKSUM_AT + 4].iter_mut().for_each(|byte| *byte = !*byte);
        spoiled
    }
}

/// The bytes of a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RawHeader(pub(crate) [u8; HEADER_LEN]);

impl RawHeader {
    /// Reads the header at byte `at`.
    pub(crate) fn read(storage: &dyn Storage, at: u64) -> Result<Self> {
        Ok(Self(storage.read_array::<HEADER_LEN>(at)?))
    }

    /// The same with a table of `entries` at byte `at`. Nothing beyond the first sector changes.
    pub(crate) fn with_table(mut self, at: u64, entries: u32) -> Self {
        put(&mut self.0, TABLE_OFFSET_AT, &at.to_be_bytes());
        put(&mut self.0, MAX_TABLE_ENTRIES_AT, &entries.to_be_bytes());
        self.summed()
    }

    /// The same with a parent that is known by `id`, and by these names.
    pub(crate) fn with_parent(
        mut self,
        id: Uuid,
        name: &[u8; PARENT_NAME_LEN],
        locators: &[Locator; LOCATOR_COUNT],
    ) -> Self {
        put(&mut self.0, PARENT_ID_AT, id.as_bytes());
        put(&mut self.0, PARENT_TIME_AT, &[0; 4]);
        put(&mut self.0, PARENT_NAME_AT, name);
        for (index, locator) in locators.iter().enumerate() {
            let mut bytes = [0; LOCATOR_LEN];
            put(&mut bytes, 0, &locator.code);
            put(&mut bytes, LOCATOR_SPACE_AT, &locator.space.to_be_bytes());
            put(&mut bytes, LOCATOR_DATA_LEN_AT, &locator.len.to_be_bytes());
            put(&mut bytes, LOCATOR_OFFSET_AT, &locator.at.to_be_bytes());
            put(&mut self.0, LOCATORS_AT + index * LOCATOR_LEN, &bytes);
        }
        self.summed()
    }

    /// The same with the right checksum.
    pub(crate) fn summed(mut self) -> Self {
        let sum = checksum(&self.0, HEADER_CHECKSUM_AT);
        put(&mut self.0, HEADER_CHECKSUM_AT, &sum.to_be_bytes());
        self
    }

    /// The first sector, which has the checksum and all that a table changes: it is written as one.
    pub(crate) fn first_sector(&self) -> &[u8] {
        &self.0[..FOOTER_LEN]
    }
}

/// Puts `field` at `at`, which lies within.
fn put(bytes: &mut [u8], at: usize, field: &[u8]) {
    bytes[at..at + field.len()].copy_from_slice(field);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::footer::Footer;
    use crate::footer::tests::footer;

    #[test]
    fn what_is_changed_is_read_and_the_rest_stays() {
        let mut bytes = footer(DiskType::Dynamic, 4 << 20).to_bytes();
        bytes[300] = 9;
        let raw = RawFooter(bytes).with_size(8 << 20).with_header(DiskType::Differencing, 4096);
        let read = Footer::parse(&raw.0).unwrap();
        assert!(read.checksum_ok && raw.0[300] == 9);
        assert_eq!((read.current_size, read.data_offset, read.disk_type), (8 << 20, 4096, DiskType::Differencing));
        assert!(!Footer::parse(&raw.spoiled().0).unwrap().checksum_ok);
    }
}
