//! The layout of a qcow2 file: offsets, masks and bounds, in the order of the specification.
//!
//! Written from the public specification ("The QCOW2 image format", `docs/interop/qcow2`); the last
//! column names its section. All integers are big-endian, all offsets count bytes from the start of
//! the file.
//!
//! | Offset | Size | Field | Rule | Spec |
//! |-------:|-----:|---|---|---|
//! |   0 | 4 | `magic` | `"QFI\xfb"` | Header |
//! |   4 | 4 | `version` | 2 or 3 | Header |
//! |   8 | 8 | `backing_file_offset` | 0, or behind the header and within the first cluster | Header |
//! |  16 | 4 | `backing_file_size` | 1..=1023, ends within the first cluster | Header |
//! |  20 | 4 | `cluster_bits` | 9..=21 | Header |
//! |  24 | 8 | `size` | covered by the L1 table | Header |
//! |  32 | 4 | `crypt_method` | 0, 1 (AES) or 2 (LUKS, with its header extension) | Header |
//! |  36 | 4 | `l1_size` | entries; a table of at most 32 MiB | Header |
//! |  40 | 8 | `l1_table_offset` | at a cluster border, within the file | Header |
//! |  48 | 8 | `refcount_table_offset` | at a cluster border | Header |
//! |  56 | 4 | `refcount_table_clusters` | at least 1, at most 8 MiB | Header |
//! |  60 | 4 | `nb_snapshots` | at most 65536 | Header |
//! |  64 | 8 | `snapshots_offset` | at a cluster border | Header |
//! |  72 | 8 | `incompatible_features` | no unknown bit; version 3 | Header |
//! |  80 | 8 | `compatible_features` | unknown bits are ignored; version 3 | Header |
//! |  88 | 8 | `autoclear_features` | unknown bits are ignored; version 3 | Header |
//! |  96 | 4 | `refcount_order` | 0..=6; 4 in version 2 | Header |
//! | 100 | 4 | `header_length` | 104 to a cluster, a multiple of 8; 72 in version 2 | Header |
//! | 104 | 1 | `compression_type` | 0 (deflate) or 1 (zstd); not 0 exactly with its bit | Additional fields |
//! | 105 | 7 | padding | 0 | Additional fields |
//!
//! Header extensions follow at `header_length`: type (4), length (4), data, padding to 8. They end at
//! type 0, at `backing_file_offset`, or at the end of the first cluster.

use std::fmt;

/// First bytes of every qcow2 file. Specification, "Header".
pub(crate) const MAGIC: [u8; 4] = *b"QFI\xfb";
/// Offset of `magic`.
pub(crate) const MAGIC_AT: usize = 0;
/// Offset of `version`.
pub(crate) const VERSION_AT: usize = 4;
/// Offset of `backing_file_offset`.
pub(crate) const BACKING_FILE_OFFSET_AT: usize = 8;
/// Offset of `backing_file_size`.
pub(crate) const BACKING_FILE_SIZE_AT: usize = 16;
/// Offset of `cluster_bits`.
pub(crate) const CLUSTER_BITS_AT: usize = 20;
/// Offset of `size`.
pub(crate) const SIZE_AT: usize = 24;
/// Offset of `crypt_method`.
pub(crate) const CRYPT_METHOD_AT: usize = 32;
/// Offset of `l1_size`.
pub(crate) const L1_SIZE_AT: usize = 36;
/// Offset of `l1_table_offset`.
pub(crate) const L1_TABLE_OFFSET_AT: usize = 40;
/// Offset of `refcount_table_offset`.
pub(crate) const REFCOUNT_TABLE_OFFSET_AT: usize = 48;
/// Offset of `refcount_table_clusters`.
pub(crate) const REFCOUNT_TABLE_CLUSTERS_AT: usize = 56;
/// Offset of `nb_snapshots`.
pub(crate) const NB_SNAPSHOTS_AT: usize = 60;
/// Offset of `snapshots_offset`.
pub(crate) const SNAPSHOTS_OFFSET_AT: usize = 64;
/// Length of the header in version 2.
pub(crate) const V2_HEADER_LEN: usize = 72;
/// Offset of `incompatible_features`; from here on, version 3 only.
pub(crate) const INCOMPATIBLE_FEATURES_AT: usize = V2_HEADER_LEN;
/// Offset of `compatible_features`.
pub(crate) const COMPATIBLE_FEATURES_AT: usize = 80;
/// Offset of `autoclear_features`.
pub(crate) const AUTOCLEAR_FEATURES_AT: usize = 88;
/// Offset of `refcount_order`.
pub(crate) const REFCOUNT_ORDER_AT: usize = 96;
/// Offset of `header_length`.
pub(crate) const HEADER_LENGTH_AT: usize = 100;
/// Least length of the header in version 3.
pub(crate) const V3_HEADER_MIN_LEN: usize = 104;
/// Offset of `compression_type`.
pub(crate) const COMPRESSION_TYPE_AT: usize = V3_HEADER_MIN_LEN;
/// Length of the header in version 3 with all fields that are known; what QEMU writes.
pub(crate) const V3_HEADER_LEN: usize = 112;

/// The older version: refcounts of 16 bits, no features, no zero flag.
pub(crate) const VERSION_2: u32 = 2;
/// The newer version.
pub(crate) const VERSION_3: u32 = 3;
/// log2 of the smallest cluster. Specification, "Header", `cluster_bits`.
pub(crate) const MIN_CLUSTER_BITS: u32 = 9;
/// log2 of the largest cluster. Not a rule of the format: QEMU refuses more.
pub(crate) const MAX_CLUSTER_BITS: u32 = 21;
/// `crypt_method` of a disk that is not encrypted.
pub(crate) const CRYPT_NONE: u32 = 0;
/// `crypt_method` of the old AES encryption.
pub(crate) const CRYPT_AES: u32 = 1;
/// `crypt_method` of LUKS encryption.
pub(crate) const CRYPT_LUKS: u32 = 2;
/// Largest `refcount_order`: refcounts of 64 bits.
pub(crate) const MAX_REFCOUNT_ORDER: u32 = 6;
/// The `refcount_order` of version 2: refcounts of 16 bits.
pub(crate) const V2_REFCOUNT_ORDER: u32 = 4;
/// `compression_type` of bare deflate streams, which the specification calls zlib.
pub(crate) const COMPRESSION_ZLIB: u8 = 0;
/// `compression_type` of Zstandard frames.
pub(crate) const COMPRESSION_ZSTD: u8 = 1;
/// Longest backing file name, in bytes. Specification, "Header", `backing_file_size`.
pub(crate) const MAX_BACKING_NAME_LEN: usize = 1023;
/// Longest L1 table, in bytes. QEMU's limit.
pub(crate) const MAX_L1_LEN: u64 = 32 << 20;
/// Longest refcount table, in bytes. QEMU's limit.
pub(crate) const MAX_REFCOUNT_TABLE_LEN: u64 = 8 << 20;
/// Most snapshots of one image. QEMU's limit.
pub(crate) const MAX_SNAPSHOTS: u64 = 65_536;
/// Longest extra data of one snapshot, in bytes. QEMU's limit.
pub(crate) const MAX_SNAPSHOT_EXTRA_LEN: u64 = 1024;
/// Most bitmaps of one image. QEMU's limit.
pub(crate) const MAX_BITMAPS: u64 = 65_535;

/// Longest name of a bitmap, in bytes. QEMU's limit.
pub(crate) const MAX_BITMAP_NAME_LEN: usize = 1023;
/// Longest bits of one bitmap, in bytes. QEMU's limit.
pub(crate) const MAX_BITMAP_LEN: u64 = 512 << 20;

/// Incompatible feature: refcounts may be stale, the mapping is whole. Bits 0 to 4 of
/// `incompatible_features`; specification, "Header".
pub(crate) const INCOMPATIBLE_DIRTY: u64 = 1 << 0;
/// Incompatible feature: some metadata is damaged, and nothing may be written.
pub(crate) const INCOMPATIBLE_CORRUPT: u64 = 1 << 1;
/// Incompatible feature: guest data is in another file.
pub(crate) const INCOMPATIBLE_DATA_FILE: u64 = 1 << 2;
/// Incompatible feature: `compression_type` is not 0.
pub(crate) const INCOMPATIBLE_COMPRESSION: u64 = 1 << 3;
/// Incompatible feature: L2 entries are 16 bytes long and know subclusters.
pub(crate) const INCOMPATIBLE_EXTENDED_L2: u64 = 1 << 4;
/// Compatible feature: refcounts may be written late. Bit 0 of `compatible_features`.
pub(crate) const COMPATIBLE_LAZY_REFCOUNTS: u64 = 1 << 0;
/// Autoclear feature: the bitmaps extension is in step with the image. Bit 0 of `autoclear_features`.
pub(crate) const AUTOCLEAR_BITMAPS: u64 = 1 << 0;

/// Autoclear feature: the data file alone is the disk. Bit 1 of `autoclear_features`.
pub(crate) const AUTOCLEAR_DATA_FILE_RAW: u64 = 1 << 1;

/// A feature bit and the name that a feature name table gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Feature {
    /// Which of the three fields the bit is in.
    pub(crate) kind: FeatureKind,
    /// The number of the bit.
    pub(crate) bit: u8,
    /// The name.
    pub(crate) name: &'static str,
}

/// Which of the three feature fields a bit is in. The values are those of the feature name table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum FeatureKind {
    /// `incompatible_features`
    Incompatible = 0,
    /// `compatible_features`
    Compatible = 1,
    /// `autoclear_features`
    Autoclear = 2,
}

impl FeatureKind {
    /// The kind as a word.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Incompatible => "incompatible",
            Self::Compatible => "compatible",
            Self::Autoclear => "autoclear",
        }
    }
}

/// All features that the specification names, in the order of a feature name table.
pub(crate) const FEATURES: &[Feature] = &[
    Feature { kind: FeatureKind::Incompatible, bit: 0, name: "dirty bit" },
    Feature { kind: FeatureKind::Incompatible, bit: 1, name: "corrupt bit" },
    Feature { kind: FeatureKind::Incompatible, bit: 2, name: "external data file" },
    Feature { kind: FeatureKind::Incompatible, bit: 3, name: "compression type" },
    Feature { kind: FeatureKind::Incompatible, bit: 4, name: "extended L2 entries" },
    Feature { kind: FeatureKind::Compatible, bit: 0, name: "lazy refcounts" },
    Feature { kind: FeatureKind::Autoclear, bit: 0, name: "bitmaps" },
    Feature { kind: FeatureKind::Autoclear, bit: 1, name: "raw external data" },
];

/// Length of an entry of the feature name table: kind (1), bit (1), name (46). Section "Feature name table".
pub(crate) const FEATURE_NAME_ENTRY_LEN: usize = 48;
/// Offset of the name in such an entry; padded with zeros, no terminator where it is full.
pub(crate) const FEATURE_NAME_AT: usize = 2;

/// The type of a header extension; an open set. Section "Header extensions".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HeaderExtension(pub(crate) u32);

impl HeaderExtension {
    /// Ends the extensions.
    pub(crate) const END: Self = Self(0);
    /// The format of the backing file.
    pub(crate) const BACKING_FORMAT: Self = Self(0xe279_2aca);
    /// Names of feature bits.
    pub(crate) const FEATURE_NAMES: Self = Self(0x6803_f857);
    /// Where the bitmap directory is.
    pub(crate) const BITMAPS: Self = Self(0x2385_2875);
    /// Where the LUKS header is.
    pub(crate) const LUKS: Self = Self(0x0537_be77);
    /// The name of the external data file.
    pub(crate) const DATA_FILE: Self = Self(0x4441_5441);

    /// What it is, where that is known.
    pub(crate) fn name(self) -> Option<&'static str> {
        match self {
            Self::END => Some("end"),
            Self::BACKING_FORMAT => Some("backing format"),
            Self::FEATURE_NAMES => Some("feature names"),
            Self::BITMAPS => Some("bitmaps"),
            Self::LUKS => Some("LUKS header"),
            Self::DATA_FILE => Some("data file"),
            _ => None,
        }
    }
}

impl fmt::Display for HeaderExtension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#010x}", self.0)
    }
}

/// Length of a header extension's type and length.
pub(crate) const EXTENSION_HEADER_LEN: usize = 8;
/// Offset of the length in it.
pub(crate) const EXTENSION_LENGTH_AT: usize = 4;
/// Header extensions, snapshots and bitmaps start at multiples of this.
pub(crate) const ITEM_ALIGN: usize = 8;

/// Length of an entry of an L1 or L2 table, or of the refcount table.
pub(crate) const TABLE_ENTRY_LEN: u64 = 8;
/// L1 and L2 entries: host offset of the L2 table or cluster, bits 9 to 55. Section "Cluster mapping".
pub(crate) const OFFSET_MASK: u64 = 0x00ff_ffff_ffff_fe00;
/// L1 and L2 entries: the refcount is exactly 1.
pub(crate) const COPIED: u64 = 1 << 63;
/// L2 entries: a compressed cluster, and the lower 62 bits mean something else.
pub(crate) const COMPRESSED: u64 = 1 << 62;
/// L2 entries of version 3: the cluster reads as zeros, whether or not it has a host cluster.
pub(crate) const ZERO: u64 = 1 << 0;
/// Bitmap table entries without a cluster: all bits of it are ones, not zeros. Section "Bitmap table".
pub(crate) const BITMAP_ALL_ONES: u64 = 1 << 0;
/// Bitmap flag: it was in use when the image was last closed. Section "Bitmap directory entry".
pub(crate) const BITMAP_IN_USE: u32 = 1 << 0;
/// Bitmap flag: every write is to be recorded.
pub(crate) const BITMAP_AUTO: u32 = 1 << 1;
/// Bitmap flag: extra data that is not known may be ignored.
pub(crate) const BITMAP_EXTRA_OPTIONAL: u32 = 1 << 2;
/// Bitmap type: dirty tracking.
pub(crate) const BITMAP_TYPE_DIRTY: u8 = 1;
/// log2 of the guest bytes that a bit of a bitmap may stand for. QEMU's limits.
pub(crate) const BITMAP_GRANULARITY_BITS: std::ops::RangeInclusive<u8> = 9..=31;
/// Length of what comes before the extra data in an entry of the bitmap directory.
pub(crate) const BITMAP_ENTRY_LEN: usize = 24;
/// Extended L2 entries: subclusters of a cluster. Section "Extended L2 Entries".
pub(crate) const SUBCLUSTERS: u32 = 32;
/// Extended L2 entries, second word: the subclusters that are stored, the first one in the lowest bit. The upper half
/// has in the same order those that read as zeros.
pub(crate) const SUBCLUSTERS_STORED: u64 = 0xffff_ffff;
/// log2 of the smallest cluster that is divided into subclusters. Section "Extended L2 Entries".
pub(crate) const MIN_EXTENDED_CLUSTER_BITS: u32 = 14;
/// Compressed clusters are counted in sectors of this length, whatever the cluster.
pub(crate) const COMPRESSED_SECTOR_LEN: u64 = 512;

/// Where the fields of a compressed L2 entry are split: the offset has this many low bits, the number of
/// additional sectors has the bits from here to 61. Section "Compressed clusters descriptor".
pub(crate) const fn compressed_offset_bits(cluster_bits: u32) -> u32 {
    62 - (cluster_bits - 8)
}

/// Host offsets of L2 tables and clusters are below this.
pub(crate) const HOST_OFFSET_END: u64 = 1 << 56;
