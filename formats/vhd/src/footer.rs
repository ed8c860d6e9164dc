//! The footer.

use imgfmt_core::{Error, Result};
use uuid::Uuid;

use crate::geometry::Geometry;
use crate::layout::{
    CREATOR_APP_AT, CREATOR_HOST_AT, CREATOR_VERSION_AT, CURRENT_SIZE_AT, DATA_OFFSET_AT, DISK_TYPE_AT, FEATURES_AT,
    FOOTER_CHECKSUM_AT, FOOTER_COOKIE, FOOTER_LEN, FORMAT_VERSION_AT, GEOMETRY_AT, ORIGINAL_SIZE_AT, SAVED_STATE_AT,
    TIME_STAMP_AT, UNIQUE_ID_AT, VERSION, be_u32, be_u64, checksum, field,
};

/// A footer that keeps the rules, except that its checksum may be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Footer {
    /// `Features`.
    pub(crate) features: u32,
    /// `Data Offset`.
    pub(crate) data_offset: u64,
    /// `Time Stamp`, in seconds since 2000.
    pub(crate) time_stamp: u32,
    /// `Creator Application`.
    pub(crate) creator_app: [u8; 4],
    /// `Creator Version`.
    pub(crate) creator_version: u32,
    /// `Creator Host OS`.
    pub(crate) creator_host: [u8; 4],
    /// `Original Size`, in bytes.
    pub(crate) original_size: u64,
    /// `Current Size`, in bytes.
    pub(crate) current_size: u64,
    /// `Disk Geometry`.
    pub(crate) geometry: Geometry,
    /// `Disk Type`.
    pub(crate) disk_type: DiskType,
    /// `Unique Id`.
    pub(crate) unique_id: Uuid,
    /// Whether `Saved State` is set.
    pub(crate) saved_state: bool,
    /// Whether `Checksum` is right.
    pub(crate) checksum_ok: bool,
}

/// `Disk Type`, as far as disks have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DiskType {
    /// All bytes, one behind the other.
    Fixed,
    /// Blocks that are there where something was written.
    Dynamic,
    /// Blocks of what differs from a parent.
    Differencing,
}

impl DiskType {
    /// The type in words, as QEMU's option `subformat` has them.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Fixed => "fixed",
            Self::Dynamic => "dynamic",
            Self::Differencing => "differencing",
        }
    }

    /// The number of the field.
    pub(crate) fn number(self) -> u32 {
        match self {
            Self::Fixed => 2,
            Self::Dynamic => 3,
            Self::Differencing => 4,
        }
    }
}

impl Footer {
    /// Checks every rule that the footer alone can break, but for its checksum.
    pub(crate) fn parse(bytes: &[u8; FOOTER_LEN]) -> Result<Self> {
        if !bytes.starts_with(&FOOTER_COOKIE) {
            return Err(Error::malformed("is not \"conectix\"").field("Cookie").at(0));
        }
        let version = be_u32::<FORMAT_VERSION_AT, FOOTER_LEN>(bytes);
        if version >> 16 != VERSION >> 16 {
            let what = format!("is {}.{}, and only 1 is known", version >> 16, version & 0xffff);
            return Err(Error::unsupported(what).field("File Format Version").at(FORMAT_VERSION_AT as u64));
        }
        Ok(Self {
            features: be_u32::<FEATURES_AT, FOOTER_LEN>(bytes),
            data_offset: be_u64::<DATA_OFFSET_AT, FOOTER_LEN>(bytes),
            time_stamp: be_u32::<TIME_STAMP_AT, FOOTER_LEN>(bytes),
            creator_app: field::<CREATOR_APP_AT, 4, FOOTER_LEN>(bytes),
            creator_version: be_u32::<CREATOR_VERSION_AT, FOOTER_LEN>(bytes),
            creator_host: field::<CREATOR_HOST_AT, 4, FOOTER_LEN>(bytes),
            original_size: be_u64::<ORIGINAL_SIZE_AT, FOOTER_LEN>(bytes),
            current_size: be_u64::<CURRENT_SIZE_AT, FOOTER_LEN>(bytes),
            geometry: Geometry::parse(field::<GEOMETRY_AT, 4, FOOTER_LEN>(bytes)),
            disk_type: parse_type(be_u32::<DISK_TYPE_AT, FOOTER_LEN>(bytes))?,
            unique_id: Uuid::from_bytes(field::<UNIQUE_ID_AT, 16, FOOTER_LEN>(bytes)),
            saved_state: bytes[SAVED_STATE_AT] != 0,
            checksum_ok: checksum(bytes, FOOTER_CHECKSUM_AT) == be_u32::<FOOTER_CHECKSUM_AT, FOOTER_LEN>(bytes),
        })
    }

    /// The bytes of the footer, with the right checksum.
    pub(crate) fn to_bytes(self) -> [u8; FOOTER_LEN] {
        let mut bytes = [0; FOOTER_LEN];
        let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
        put(0, &FOOTER_COOKIE);
        put(FEATURES_AT, &self.features.to_be_bytes());
        put(FORMAT_VERSION_AT, &VERSION.to_be_bytes());
        put(DATA_OFFSET_AT, &self.data_offset.to_be_bytes());
        put(TIME_STAMP_AT, &self.time_stamp.to_be_bytes());
        put(CREATOR_APP_AT, &self.creator_app);
        put(CREATOR_VERSION_AT, &self.creator_version.to_be_bytes());
        put(CREATOR_HOST_AT, &self.creator_host);
        put(ORIGINAL_SIZE_AT, &self.original_size.to_be_bytes());
        put(CURRENT_SIZE_AT, &self.current_size.to_be_bytes());
        put(GEOMETRY_AT, &self.geometry.to_bytes());
        put(DISK_TYPE_AT, &self.disk_type.number().to_be_bytes());
        put(UNIQUE_ID_AT, self.unique_id.as_bytes());
        put(SAVED_STATE_AT, &[u8::from(self.saved_state)]);
        let sum = checksum(&bytes, FOOTER_CHECKSUM_AT);
        bytes[FOOTER_CHECKSUM_AT..FOOTER_CHECKSUM_AT + 4].copy_from_slice(&sum.to_be_bytes());
        bytes
    }

    /// Whether `other` says the same of the disk: two readers, each with its own copy, see the same.
    pub(crate) fn agrees_with(&self, other: &Self) -> bool {
        let essence = |footer: &Self| {
            let Self { data_offset, current_size, geometry, disk_type, unique_id, creator_app, .. } = *footer;
            (data_offset, current_size, geometry, disk_type, unique_id, creator_app)
        };
        essence(self) == essence(other)
    }
}

/// Checks `Disk Type`.
fn parse_type(number: u32) -> Result<DiskType> {
    match number {
        2 => Ok(DiskType::Fixed),
        3 => Ok(DiskType::Dynamic),
        4 => Ok(DiskType::Differencing),
        other => {
            let what = format!("is {other}: neither fixed (2), dynamic (3) nor differencing (4)");
            Err(Error::unsupported(what).field("Disk Type").at(DISK_TYPE_AT as u64))
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use imgfmt_core::ErrorKind;

    use super::*;
    use crate::layout::{FEATURES_RESERVED, NO_OFFSET};

    /// A footer that keeps every rule.
    pub(crate) fn footer(disk_type: DiskType, size: u64) -> Footer {
        Footer {
            features: FEATURES_RESERVED,
            data_offset: if disk_type == DiskType::Fixed { NO_OFFSET } else { 512 },
            time_stamp: 655_986_198,
            creator_app: *b"win ",
            creator_version: 0x000a_0000,
            creator_host: *b"Wi2k",
            original_size: size,
            current_size: size,
            geometry: Geometry::of_sectors(size / 512),
            disk_type,
            unique_id: Uuid::from_bytes([7; 16]),
            saved_state: false,
            checksum_ok: true,
        }
    }

    #[test]
    fn a_footer_says_what_was_written() {
        for disk_type in [DiskType::Fixed, DiskType::Dynamic, DiskType::Differencing] {
            let footer = Footer { saved_state: true, ..footer(disk_type, 4 << 20) };
            assert_eq!(Footer::parse(&footer.to_bytes()).unwrap(), footer);
        }
    }

    #[test]
    fn every_broken_rule_names_its_field_and_byte() {
        use ErrorKind::{Malformed, Unsupported};
        let cases: &[(usize, u8, ErrorKind, &str, u64)] = &[
            (0, b'C', Malformed, "Cookie", 0),
            (FORMAT_VERSION_AT + 1, 2, Unsupported, "File Format Version", 12),
            (DISK_TYPE_AT + 3, 0, Unsupported, "Disk Type", 60),
            (DISK_TYPE_AT + 3, 5, Unsupported, "Disk Type", 60),
        ];
        for &(at, byte, kind, name, offset) in cases {
            let mut bytes = footer(DiskType::Fixed, 512).to_bytes();
            bytes[at] = byte;
            let error = Footer::parse(&bytes).unwrap_err();
            assert_eq!((error.kind(), error.field_name(), error.offset()), (kind, Some(name), Some(offset)));
        }
    }

    #[test]
    fn a_wrong_checksum_is_noticed_wherever_it_comes_from() {
        for at in [8, 24, 64, 67, 84, 511] {
            let mut bytes = footer(DiskType::Dynamic, 512).to_bytes();
            bytes[at] ^= 1;
            assert!(!Footer::parse(&bytes).unwrap().checksum_ok, "byte {at}");
        }
    }
}
