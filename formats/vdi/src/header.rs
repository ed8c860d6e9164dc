//! The header.

use imgfmt_core::{Error, Limits, Result, Storage, StorageExt};
use uuid::Uuid;

use crate::layout::{
    ALLOCATED_AT, BLOCK_EXTRA_AT, BLOCK_LEN_AT, BLOCKS_AT, COMMENT_AT, COMMENT_LEN, DATA_OFFSET_AT, DISK_SIZE_AT,
    ENTRY_LEN, FILE_INFO_AT, FILE_INFO_LEN, FLAGS_AT, FREE, FULL_HEAD_LEN, GEOMETRY_SECTOR_AT, HEAD_LEN, HEADER_LEN,
    HEADER_LEN_AT, LCHS_SECTOR_AT, MAP_OFFSET_AT, MIN_BLOCK_LEN, MIN_HEADER_LEN, SECTOR_LEN, SIGNATURE, SIGNATURE_AT,
    TYPE_AT, UUID_CREATE_AT, UUID_LINKAGE_AT, UUID_MODIFY_AT, UUID_PARENT_MODIFY_AT, VERSION, VERSION_AT, ZERO, field,
    le_u32, le_u64, put,
};

/// A header that keeps the rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// `szFileInfo`.
    pub(crate) file_info: [u8; FILE_INFO_LEN],
    /// `cbHeader`: bytes from byte 72 on.
    pub(crate) header_len: u32,
    /// `u32Type`.
    pub(crate) kind: ImageType,
    /// `fFlags`.
    pub(crate) flags: u32,
    /// `szComment`.
    pub(crate) comment: [u8; COMMENT_LEN],
    /// `offBlocks`: the byte of the first entry of the block map.
    pub(crate) map_offset: u64,
    /// `offData`: the byte of the first block.
    pub(crate) data_offset: u64,
    /// `cbDisk`: guest bytes.
    pub(crate) disk_size: u64,
    /// `cbBlock`: guest bytes of a block, a power of two.
    pub(crate) block_len: u64,
    /// `cbBlockExtra`: bytes in front of the data of each block.
    pub(crate) block_extra: u64,
    /// `cBlocks`: entries of the block map, enough for the disk.
    pub(crate) blocks: u32,
    /// `cBlocksAllocated`.
    pub(crate) allocated: u32,
    /// `uuidCreate`.
    pub(crate) create: Uuid,
    /// `uuidModify`.
    pub(crate) modify: Uuid,
    /// `uuidLinkage`.
    pub(crate) linkage: Uuid,
    /// `uuidParentModify`.
    pub(crate) parent_modify: Uuid,
}

/// What kind of image it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ImageType {
    /// Grows with what is written.
    Dynamic,
    /// Has all of its blocks.
    Fixed,
    /// Has what differs from its parent.
    Differencing,
}

impl ImageType {
    /// Its number.
    pub(crate) fn number(self) -> u32 {
        match self {
            Self::Dynamic => 1,
            Self::Fixed => 2,
            Self::Differencing => 4,
        }
    }

    /// The type of this number.
    fn parse(raw: u32) -> Result<Self> {
        match raw {
            1 => Ok(Self::Dynamic),
            2 => Ok(Self::Fixed),
            4 => Ok(Self::Differencing),
            3 => Err(Error::unsupported("is 3, an undo image, which no known program makes")),
            _ => Err(Error::malformed(format!("is {raw}, none of 1 (dynamic), 2 (fixed), 4 (differencing)"))),
        }
    }

    /// Its name, as VirtualBox says it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Dynamic => "dynamic",
            Self::Fixed => "fixed",
            Self::Differencing => "differencing",
        }
    }
}

impl Header {
    /// Reads the header.
    pub(crate) fn read(storage: &dyn Storage, limits: &Limits) -> Result<Self> {
        Self::parse(&storage.read_array::<HEAD_LEN>(0)?, limits)
    }

    /// Checks every rule that the header alone can break.
    pub(crate) fn parse(head: &[u8; HEAD_LEN], limits: &Limits) -> Result<Self> {
        check_version(head)?;
        let kind = ImageType::parse(le_u32::<TYPE_AT>(head)).map_err(|e| e.field("u32Type").at(TYPE_AT as u64))?;
        let header = Self {
            file_info: field::<FILE_INFO_AT, FILE_INFO_LEN>(head),
            header_len: le_u32::<HEADER_LEN_AT>(head),
            kind,
            flags: le_u32::<FLAGS_AT>(head),
            comment: field::<COMMENT_AT, COMMENT_LEN>(head),
            map_offset: u64::from(le_u32::<MAP_OFFSET_AT>(head)),
            data_offset: u64::from(le_u32::<DATA_OFFSET_AT>(head)),
            disk_size: le_u64::<DISK_SIZE_AT>(head),
            block_len: u64::from(le_u32::<BLOCK_LEN_AT>(head)),
            block_extra: u64::from(le_u32::<BLOCK_EXTRA_AT>(head)),
            blocks: le_u32::<BLOCKS_AT>(head),
            allocated: le_u32::<ALLOCATED_AT>(head),
            create: Uuid::from_bytes_le(field::<UUID_CREATE_AT, 16>(head)),
            modify: Uuid::from_bytes_le(field::<UUID_MODIFY_AT, 16>(head)),
            linkage: Uuid::from_bytes_le(field::<UUID_LINKAGE_AT, 16>(head)),
            parent_modify: Uuid::from_bytes_le(field::<UUID_PARENT_MODIFY_AT, 16>(head)),
        };
        header.check_blocks(limits)?;
        header.check_places()?;
        header.check_linkage()?;
        Ok(header)
    }

    /// The bytes of a new header, with the length that [`HEADER_LEN`] says. No geometry is given but the length of sectors.
    pub(crate) fn to_bytes(&self) -> [u8; FULL_HEAD_LEN] {
        let mut bytes = [0; FULL_HEAD_LEN];
        // What has 32 bits was read from them, or has passed a check.
        let narrow = |value: u64| u32::try_from(value).unwrap_or(u32::MAX).to_le_bytes();
        let fields: [(usize, &[u8]); 20] = [
            (FILE_INFO_AT, &self.file_info),
            (SIGNATURE_AT, &SIGNATURE),
            (VERSION_AT, &VERSION.to_le_bytes()),
            (HEADER_LEN_AT, &HEADER_LEN.to_le_bytes()),
            (TYPE_AT, &self.kind.number().to_le_bytes()),
            (FLAGS_AT, &self.flags.to_le_bytes()),
            (COMMENT_AT, &self.comment),
            (MAP_OFFSET_AT, &narrow(self.map_offset)),
            (DATA_OFFSET_AT, &narrow(self.data_offset)),
            (GEOMETRY_SECTOR_AT, &narrow(SECTOR_LEN)),
            (DISK_SIZE_AT, &self.disk_size.to_le_bytes()),
            (BLOCK_LEN_AT, &narrow(self.block_len)),
            (BLOCK_EXTRA_AT, &narrow(self.block_extra)),
            (BLOCKS_AT, &self.blocks.to_le_bytes()),
            (ALLOCATED_AT, &self.allocated.to_le_bytes()),
            (UUID_CREATE_AT, &self.create.to_bytes_le()),
            (UUID_MODIFY_AT, &self.modify.to_bytes_le()),
            (UUID_LINKAGE_AT, &self.linkage.to_bytes_le()),
            (UUID_PARENT_MODIFY_AT, &self.parent_modify.to_bytes_le()),
            (LCHS_SECTOR_AT, &narrow(SECTOR_LEN)),
        ];
        fields.iter().for_each(|(at, field)| put(&mut bytes, *at, field));
        bytes
    }

    /// Bytes of the block map.
    pub(crate) fn map_len(&self) -> u64 {
        u64::from(self.blocks) * ENTRY_LEN
    }

    /// Blocks of the disk; the map may have more entries.
    pub(crate) fn disk_blocks(&self) -> u64 {
        self.disk_size.div_ceil(self.block_len)
    }

    /// The byte at which block `number` of the file begins.
    pub(crate) fn block_at(&self, number: u64) -> u64 {
        // Both factors have 33 bits at most.
        self.data_offset.saturating_add(number.saturating_mul(self.stride()))
    }

    /// Guest bytes of block `index` that the file has to have: of the last one, what lies behind the disk may be missing.
    pub(crate) fn stored_len(&self, index: u64) -> u64 {
        self.disk_size.saturating_sub(index.saturating_mul(self.block_len)).min(self.block_len)
    }

    /// The entry of a block that reads as zeros and is not stored.
    pub(crate) fn blank(&self) -> u32 {
        if self.kind == ImageType::Differencing { ZERO } else { FREE }
    }

    /// Bytes from one block of the file to the next.
    pub(crate) fn stride(&self) -> u64 {
        self.block_len + self.block_extra
    }

    /// Checks the size of the disk and of its blocks.
    fn check_blocks(&self, limits: &Limits) -> Result<()> {
        let size_at = |e: Error| e.field("cbDisk").at(DISK_SIZE_AT as u64);
        Limits::check("cbDisk", self.disk_size, limits.virtual_size.min(i64::MAX as u64)).map_err(size_at)?;
        if self.block_len < u64::from(MIN_BLOCK_LEN) || !self.block_len.is_power_of_two() {
            let what = format!("is {}, which is no power of two from {MIN_BLOCK_LEN} on", self.block_len);
            return Err(Error::malformed(what).field("cbBlock").at(BLOCK_LEN_AT as u64));
        }
        let needed = self.disk_blocks();
        if u64::from(self.blocks) < needed {
            let what = format!("is {}, but a disk of {} bytes has {needed} blocks", self.blocks, self.disk_size);
            return Err(Error::malformed(what).field("cBlocks").at(BLOCKS_AT as u64));
        }
        Ok(())
    }

    /// Checks that header, map and blocks follow each other.
    fn check_places(&self) -> Result<()> {
        if self.header_len < MIN_HEADER_LEN {
            let what = format!("is {}, below {MIN_HEADER_LEN}", self.header_len);
            return Err(Error::malformed(what).field("cbHeader").at(HEADER_LEN_AT as u64));
        }
        let header_end = HEADER_LEN_AT as u64 + u64::from(self.header_len);
        if self.map_offset < header_end {
            let what = format!("is {}, within the header, which ends at byte {header_end}", self.map_offset);
            return Err(Error::malformed(what).field("offBlocks").at(MAP_OFFSET_AT as u64));
        }
        let map_end = self.map_offset + self.map_len();
        if self.data_offset < map_end {
            let what = format!("is {}, but the block map ends at byte {map_end}", self.data_offset);
            return Err(Error::malformed(what).field("offData").at(DATA_OFFSET_AT as u64));
        }
        Ok(())
    }

    /// Checks that nothing but a differencing image has a parent: what is not stored would be read as zero.
    fn check_linkage(&self) -> Result<()> {
        if self.kind == ImageType::Differencing || self.linkage.is_nil() {
            return Ok(());
        }
        let what = format!("names the parent {}, but a {} image has none", self.linkage, self.kind.name());
        Err(Error::malformed(what).field("uuidLinkage").at(UUID_LINKAGE_AT as u64))
    }
}

/// Checks what every version has in front.
fn check_version(head: &[u8; HEAD_LEN]) -> Result<()> {
    if field::<SIGNATURE_AT, 4>(head) != SIGNATURE {
        return Err(Error::malformed("is not 7f 10 da be").field("u32Signature").at(SIGNATURE_AT as u64));
    }
    let version = le_u32::<VERSION_AT>(head);
    if version != VERSION {
        let what = format!("is {}.{}, and only 1.1 is known", version >> 16, version & 0xffff);
        return Err(Error::unsupported(what).field("u32Version").at(VERSION_AT as u64));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
