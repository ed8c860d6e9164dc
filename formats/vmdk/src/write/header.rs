//! The header of a new sparse extent.

use crate::layout::{
    CAPACITY_AT, COMPRESS_ALGORITHM_AT, COMPRESSION_DEFLATE, DESCRIPTOR_OFFSET_AT, DESCRIPTOR_SIZE_AT, FLAGS_AT, Flags,
    GD_OFFSET_AT, GRAIN_SIZE_AT, HEADER_LEN, MAGIC, NEWLINES, NEWLINES_AT, NUM_GTES_PER_GT_AT, OVERHEAD_AT,
    RGD_OFFSET_AT, VERSION_AT,
};

/// Entries of every grain table that is written. "Hosted Sparse Extents" fixes it.
pub(super) const GTES_PER_GT: u64 = 512;

/// What a header says; places and sizes in sectors.
#[derive(Clone, Copy, Debug)]
pub(super) struct NewHeader {
    /// `version`.
    pub(super) version: u32,
    /// `flags`; the newline bytes are always valid.
    pub(super) flags: u32,
    /// `capacity`.
    pub(super) capacity: u64,
    /// `grainSize`.
    pub(super) grain_size: u64,
    /// `descriptorOffset`.
    pub(super) descriptor_offset: u64,
    /// `descriptorSize`.
    pub(super) descriptor_size: u64,
    /// `rgdOffset`.
    pub(super) rgd_offset: u64,
    /// `gdOffset`.
    pub(super) gd_offset: u64,
    /// `overHead`.
    pub(super) overhead: u64,
}

impl NewHeader {
    /// The bytes.
    pub(super) fn to_bytes(self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        let compressed = Flags(self.flags).has(Flags::COMPRESSED);
        put(&mut bytes, 0, &MAGIC);
        put(&mut bytes, VERSION_AT, &self.version.to_le_bytes());
        put(&mut bytes, FLAGS_AT, &(self.flags | Flags::NEWLINES.0).to_le_bytes());
        put(&mut bytes, CAPACITY_AT, &self.capacity.to_le_bytes());
        put(&mut bytes, GRAIN_SIZE_AT, &self.grain_size.to_le_bytes());
        put(&mut bytes, DESCRIPTOR_OFFSET_AT, &self.descriptor_offset.to_le_bytes());
        put(&mut bytes, DESCRIPTOR_SIZE_AT, &self.descriptor_size.to_le_bytes());
        put(&mut bytes, NUM_GTES_PER_GT_AT, &GTES_PER_GT_FIELD.to_le_bytes());
        put(&mut bytes, RGD_OFFSET_AT, &self.rgd_offset.to_le_bytes());
        put(&mut bytes, GD_OFFSET_AT, &self.gd_offset.to_le_bytes());
        put(&mut bytes, OVERHEAD_AT, &self.overhead.to_le_bytes());
        put(&mut bytes, NEWLINES_AT, &NEWLINES);
        let algorithm = if compressed { COMPRESSION_DEFLATE } else { 0 };
        put(&mut bytes, COMPRESS_ALGORITHM_AT, &algorithm.to_le_bytes());
        bytes
    }
}

/// Writes a field.
fn put(bytes: &mut [u8; HEADER_LEN], at: usize, field: &[u8]) {
    bytes[at..at + field.len()].copy_from_slice(field);
}

/// [`GTES_PER_GT`] as it stands in the header.
const GTES_PER_GT_FIELD: u32 = 512;
