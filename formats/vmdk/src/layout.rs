//! The bytes of a sparse extent: VMware, "Virtual Disk Format 5.0", "Hosted Sparse Extents" and
//! "Stream-Optimized Compressed Sparse Extents". Numbers are little-endian; places and sizes are in
//! sectors of 512 bytes unless a rule says otherwise.
//!
//! The header, `SparseExtentHeader`, is sector 0. A footer is a second one near the end of the file.
//!
//! | Offset | Size | Field                | Rule                                                              |
//! |-------:|-----:|----------------------|-------------------------------------------------------------------|
//! |      0 |    4 | `magicNumber`        | `"KDMV"`                                                          |
//! |      4 |    4 | `version`            | 1, 2 or 3                                                         |
//! |      8 |    4 | `flags`              | bits 0–2, 16, 17 are known; other bits from 16 on are refused     |
//! |     12 |    8 | `capacity`           | not 0; the extent line may say a little less, within one grain    |
//! |     20 |    8 | `grainSize`          | a power of two from 8 to 2097152; compressed, within the limits   |
//! |     28 |    8 | `descriptorOffset`   | 0 in an extent whose descriptor is a file of its own              |
//! |     36 |    8 | `descriptorSize`     | not 0 where there is a descriptor; within the limits              |
//! |     44 |    4 | `numGTEsPerGT`       | 1 to 4096; everyone writes 512                                    |
//! |     48 |    8 | `rgdOffset`          | counts only with flag bit 1                                       |
//! |     56 |    8 | `gdOffset`           | not 0; 2⁶⁴−1 leaves it to the footer                              |
//! |     64 |    8 | `overHead`           | shown, not relied on                                              |
//! |     72 |    1 | `uncleanShutdown`    | not 0: the disk was in use when its host stopped                  |
//! |     73 |    4 | the newline bytes    | `"\n \r\n"` with flag bit 0; anything else went through a text transfer |
//! |     77 |    2 | `compressAlgorithm`  | 1 (deflate) with flag bit 16, else 0                              |
//!
//! The grain directory at `gdOffset` has an entry of 4 bytes for every `numGTEsPerGT` grains: the sector
//! of a grain table, or 0 where none of these grains is stored. A grain table has an entry of 4 bytes
//! for every grain: 0, not stored; 1 with flag bit 2, zeros; else the sector of the grain.
//!
//! With flag bit 17, a compressed grain follows a marker, and so do tables, directory and footer:
//!
//! | Offset | Size | Field  | Rule                                                                       |
//! |-------:|-----:|--------|----------------------------------------------------------------------------|
//! |      0 |    8 | `val`  | of a grain: its first sector in the extent. Else: sectors that follow        |
//! |      8 |    4 | `size` | of a grain: bytes of its zlib stream, which starts at 12. Else: 0            |
//! |     12 |    4 | `type` | where `size` is 0: 0 end of stream, 1 grain table, 2 directory, 3 footer     |

/// Bytes of a sector, the unit of places and sizes. "Terminology".
pub(crate) const SECTOR_LEN: u64 = 512;
/// Bytes of the header. "Hosted Sparse Extent Header": the structure is padded to a sector.
pub(crate) const HEADER_LEN: usize = 512;

/// `magicNumber`, as it lies in the file.
pub(crate) const MAGIC: [u8; 4] = *b"KDMV";
/// First bytes of an ESX sparse extent of the old kind. "ESX Server Sparse Extents".
pub(crate) const COWD_MAGIC: [u8; 4] = *b"COWD";
/// First bytes of a space-efficient sparse extent of ESX. Not in the specification.
pub(crate) const SESPARSE_MAGIC: [u8; 8] = 0xcafe_babe_u64.to_le_bytes();

/// Place of `version`.
pub(crate) const VERSION_AT: usize = 4;
/// Place of `flags`.
pub(crate) const FLAGS_AT: usize = 8;
/// Place of `capacity`.
pub(crate) const CAPACITY_AT: usize = 12;
/// Place of `grainSize`.
pub(crate) const GRAIN_SIZE_AT: usize = 20;
/// Place of `descriptorOffset`.
pub(crate) const DESCRIPTOR_OFFSET_AT: usize = 28;
/// Place of `descriptorSize`.
pub(crate) const DESCRIPTOR_SIZE_AT: usize = 36;
/// Place of `numGTEsPerGT`.
pub(crate) const NUM_GTES_PER_GT_AT: usize = 44;
/// Place of `rgdOffset`.
pub(crate) const RGD_OFFSET_AT: usize = 48;
/// Place of `gdOffset`.
pub(crate) const GD_OFFSET_AT: usize = 56;
/// Place of `overHead`.
pub(crate) const OVERHEAD_AT: usize = 64;
/// Place of `uncleanShutdown`.
pub(crate) const UNCLEAN_SHUTDOWN_AT: usize = 72;
/// Place of `singleEndLineChar` and the three bytes behind it.
pub(crate) const NEWLINES_AT: usize = 73;
/// Place of `compressAlgorithm`.
pub(crate) const COMPRESS_ALGORITHM_AT: usize = 77;

/// Newest `version` that is known. Its meaning is not in the specification; readers take it as 2.
pub(crate) const MAX_VERSION: u32 = 3;
/// The newline bytes as they are when no transfer has changed them.
pub(crate) const NEWLINES: [u8; 4] = *b"\n \r\n";
/// `compressAlgorithm` of grains that are not compressed.
pub(crate) const COMPRESSION_NONE: u16 = 0;
/// `compressAlgorithm` of zlib streams.
pub(crate) const COMPRESSION_DEFLATE: u16 = 1;
/// `gdOffset` of a header that leaves it to the footer.
pub(crate) const GD_AT_END: u64 = u64::MAX;

/// Smallest `grainSize`. The specification wants more than 8; 8 is written all the same.
pub(crate) const MIN_GRAIN_SIZE: u64 = 8;
/// Largest `grainSize`, 1 GiB. Not a rule of the format: QEMU refuses more.
pub(crate) const MAX_GRAIN_SIZE: u64 = 1 << 21;
/// Largest `numGTEsPerGT`. Not a rule of the format, which fixes 512: ESX has used 4096.
pub(crate) const MAX_GTES_PER_GT: u32 = 4096;

/// Bytes of an entry of a grain directory or grain table.
pub(crate) const ENTRY_LEN: u64 = 4;
/// Grain table entry, with [`Flags::ZEROED_GRAINS`]: a grain of zeros.
pub(crate) const ZEROED_ENTRY: u32 = 1;

/// Bytes before the zlib stream of a grain with a marker.
pub(crate) const GRAIN_MARKER_LEN: usize = 12;
/// Place of a marker's `size`.
pub(crate) const MARKER_SIZE_AT: usize = 8;
/// Place of a marker's `type`.
pub(crate) const MARKER_TYPE_AT: usize = 12;
/// `type` of the marker that ends a stream.
pub(crate) const MARKER_END_OF_STREAM: u32 = 0;
/// `type` of the marker before a grain table.
pub(crate) const MARKER_GRAIN_TABLE: u32 = 1;
/// `type` of the marker before the grain directory.
pub(crate) const MARKER_GRAIN_DIRECTORY: u32 = 2;
/// `type` of the marker before a footer.
pub(crate) const MARKER_FOOTER: u32 = 3;

/// `flags` of a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flags(pub(crate) u32);

impl Flags {
    /// The newline bytes are valid.
    pub(crate) const NEWLINES: Self = Self(1);
    /// There is a redundant grain directory.
    pub(crate) const REDUNDANT: Self = Self(1 << 1);
    /// Grain table entry 1 is a grain of zeros.
    pub(crate) const ZEROED_GRAINS: Self = Self(1 << 2);
    /// Grains are compressed.
    pub(crate) const COMPRESSED: Self = Self(1 << 16);
    /// Every block of metadata and every grain follows a marker.
    pub(crate) const MARKERS: Self = Self(1 << 17);
    /// Bits that a reader has to know: those from 16 on, by the custom of those who write them.
    const INCOMPATIBLE: u32 = 0xffff_0000;

    /// Whether all bits of `other` are set.
    pub(crate) fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The bits that a reader has to know, and that this one does not.
    pub(crate) fn unknown(self) -> u32 {
        self.0 & Self::INCOMPATIBLE & !(Self::COMPRESSED.0 | Self::MARKERS.0)
    }
}

/// The `N` bytes at `AT`, which the compiler checks to lie within.
fn field<const AT: usize, const N: usize, const LEN: usize>(bytes: &[u8; LEN]) -> [u8; N] {
    const { assert!(AT + N <= LEN, "field lies outside its structure") };
    std::array::from_fn(|index| bytes[AT + index])
}

/// The number of 2 bytes at `AT`.
pub(crate) fn le_u16<const AT: usize, const LEN: usize>(bytes: &[u8; LEN]) -> u16 {
    u16::from_le_bytes(field::<AT, 2, LEN>(bytes))
}

/// The number of 4 bytes at `AT`.
pub(crate) fn le_u32<const AT: usize, const LEN: usize>(bytes: &[u8; LEN]) -> u32 {
    u32::from_le_bytes(field::<AT, 4, LEN>(bytes))
}

/// The number of 8 bytes at `AT`.
pub(crate) fn le_u64<const AT: usize, const LEN: usize>(bytes: &[u8; LEN]) -> u64 {
    u64::from_le_bytes(field::<AT, 8, LEN>(bytes))
}

/// The numbers of 8 bytes that `bytes` consists of.
pub(crate) fn le_u64s(bytes: &[u8]) -> Box<[u64]> {
    let (entries, _) = bytes.as_chunks::<8>();
    entries.iter().map(|&entry| u64::from_le_bytes(entry)).collect()
}

/// The numbers of 4 bytes that `bytes` consists of.
pub(crate) fn le_u32s(bytes: &[u8]) -> Box<[u32]> {
    let (entries, _) = bytes.as_chunks::<4>();
    entries.iter().map(|&entry| u32::from_le_bytes(entry)).collect()
}

/// The first byte of `sector`; beyond what can be counted, the last byte there is.
pub(crate) fn byte_of(sector: u64) -> u64 {
    sector.saturating_mul(SECTOR_LEN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_little_endian() {
        let bytes = [1, 2, 3, 4, 5, 6, 7, 8, 9];
        assert_eq!(le_u16::<7, 9>(&bytes), 0x0908);
        assert_eq!(le_u32::<1, 9>(&bytes), 0x0504_0302);
        assert_eq!(le_u64::<1, 9>(&bytes), 0x0908_0706_0504_0302);
        assert_eq!(*le_u32s(&bytes), [0x0403_0201, 0x0807_0605]);
    }

    #[test]
    fn only_unknown_bits_from_16_on_matter() {
        assert_eq!(Flags(0x3_0007).unknown(), 0);
        assert_eq!(Flags(0x8000).unknown(), 0);
        assert_eq!(Flags(0x4_0001).unknown(), 0x4_0000);
        assert!(Flags(0x3_0001).has(Flags::MARKERS) && !Flags(1).has(Flags::REDUNDANT));
    }
}
