//! The header: parsed once, into a value that keeps every rule of the layout.

use std::path::PathBuf;

use imgfmt_core::{Codec, Limits, Result, Storage, StorageExt};

use crate::backing::BackingPlace;
use crate::cluster::{ClusterBits, L2Layout};
use crate::crypto::CryptMethod;
use crate::extensions::Extensions;
use crate::features::Features;
use crate::layout::{
    CLUSTER_BITS_AT, COMPRESSION_TYPE_AT, COMPRESSION_ZLIB, COMPRESSION_ZSTD, HEADER_LENGTH_AT, ITEM_ALIGN, L1_SIZE_AT,
    L1_TABLE_OFFSET_AT, MAGIC, MAGIC_AT, MAX_CLUSTER_BITS, MAX_L1_LEN, MAX_REFCOUNT_ORDER, MAX_REFCOUNT_TABLE_LEN,
    MAX_SNAPSHOTS, MIN_CLUSTER_BITS, MIN_EXTENDED_CLUSTER_BITS, NB_SNAPSHOTS_AT, REFCOUNT_ORDER_AT,
    REFCOUNT_TABLE_CLUSTERS_AT, REFCOUNT_TABLE_OFFSET_AT, SIZE_AT, SNAPSHOTS_OFFSET_AT, TABLE_ENTRY_LEN, V2_HEADER_LEN,
    V2_REFCOUNT_ORDER, V3_HEADER_MIN_LEN, VERSION_2, VERSION_3, VERSION_AT,
};
use imgfmt_core::fields::{Fields, Place};

/// A header that keeps the rules.
#[derive(Debug)]
pub(crate) struct Header {
    /// 2 or 3.
    pub(crate) version: u32,
    /// Length of the clusters.
    pub(crate) cluster: ClusterBits,
    /// How L2 tables divide the disk.
    pub(crate) l2: L2Layout,
    /// Guest bytes of the disk.
    pub(crate) size: u64,
    /// Bytes of the header without its extensions.
    pub(crate) header_length: usize,
    /// How guest bytes are encrypted.
    pub(crate) crypt: CryptMethod,
    /// The feature bits.
    pub(crate) features: Features,
    /// How clusters are compressed, where they are.
    pub(crate) codec: Codec,
    /// log2 of the bits of a refcount.
    pub(crate) refcount_order: u32,
    /// Entries of the L1 table; they cover the disk.
    pub(crate) l1_size: u32,
    /// Host byte of the L1 table, at a cluster border.
    pub(crate) l1_table_offset: u64,
    /// Host byte of the refcount table, at a cluster border.
    pub(crate) refcount_table_offset: u64,
    /// Clusters of the refcount table.
    pub(crate) refcount_table_clusters: u64,
    /// Snapshots in the snapshot table.
    pub(crate) nb_snapshots: u32,
    /// Host byte of the snapshot table, at a cluster border.
    pub(crate) snapshots_offset: u64,
    /// The name of the backing file.
    pub(crate) backing_name: Option<PathBuf>,
    /// The header extensions.
    pub(crate) extensions: Extensions,
}

impl Header {
    /// Reads the header and what else is in the first cluster.
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse), and [`Io`](imgfmt_core::ErrorKind::Io) from the storage.
    pub(crate) fn read(storage: &dyn Storage, limits: &Limits) -> Result<Self> {
        let mut first = vec![0; FIRST_READ_LEN];
        let there = storage.read_padded(&mut first, 0)?;
        first.truncate(there);
        let cluster = cluster_bits(&Fields::new(&first, 0))?;
        // Most headers end in what has been read; memory for the rest of a large cluster is not free.
        if let Ok(header) = Self::parse(&first[..there.min(cluster.in_memory())], limits)
            && header.extensions.ended
        {
            return Ok(header);
        }
        first.resize(cluster.in_memory(), 0);
        let there = storage.read_padded(&mut first, 0)?;
        Self::parse(&first[..there], limits)
    }

    /// Parses the first cluster, or as much of it as the file has.
    ///
    /// # Errors
    ///
    /// [`Malformed`](imgfmt_core::ErrorKind::Malformed), [`Unsupported`](imgfmt_core::ErrorKind::Unsupported),
    /// [`LimitExceeded`](imgfmt_core::ErrorKind::LimitExceeded) or
    /// [`OutOfBounds`](imgfmt_core::ErrorKind::OutOfBounds), with the byte and the field.
    pub(crate) fn parse(first: &[u8], limits: &Limits) -> Result<Self> {
        let fields = Fields::new(first, 0);
        let cluster = cluster_bits(&fields)?;
        let version = fields.u32(VERSION_AT)?;
        let header_length = header_length(&fields, version, cluster)?;
        let backing = BackingPlace::parse(&fields, header_length, cluster)?;
        let extensions = Extensions::parse(&fields, header_length..backing.extensions_end(), limits)?;
        // Unknown features may change the meaning of all that follows.
        let features = Features::parse(&fields, version)?;
        features.check(&extensions)?;
        let crypt = CryptMethod::parse(&fields, &extensions, cluster)?;
        let size = size(&fields, limits)?;
        let l2 = l2_layout(cluster, features)?;
        Ok(Self {
            version,
            cluster,
            l2,
            size,
            header_length,
            crypt,
            features,
            codec: codec(&fields, header_length, features)?,
            refcount_order: refcount_order(&fields, version)?,
            l1_size: l1_size(&fields, size, l2)?,
            l1_table_offset: aligned(&fields, "l1_table_offset", L1_TABLE_OFFSET_AT, cluster)?,
            refcount_table_offset: aligned(&fields, "refcount_table_offset", REFCOUNT_TABLE_OFFSET_AT, cluster)?,
            refcount_table_clusters: refcount_table_clusters(&fields, cluster)?,
            nb_snapshots: nb_snapshots(&fields)?,
            snapshots_offset: snapshots_offset(&fields, cluster)?,
            backing_name: backing.name(&fields)?,
            extensions,
        })
    }
}

/// Checks what every version has, and returns the cluster length, without which nothing else can be read.
fn cluster_bits(fields: &Fields<'_>) -> Result<ClusterBits> {
    if fields.bytes(MAGIC_AT, MAGIC.len())? != MAGIC {
        return Err(Place::in_header("magic", MAGIC_AT).malformed("is not \"QFI\\xfb\""));
    }
    let version = fields.u32(VERSION_AT)?;
    if !(VERSION_2..=VERSION_3).contains(&version) {
        let hint = if version == 1 { "; version 1 is the format qcow" } else { "" };
        return Err(Place::in_header("version", VERSION_AT).unsupported(format!("is {version}, neither 2 nor 3{hint}")));
    }
    let raw = fields.u32(CLUSTER_BITS_AT)?;
    ClusterBits::new(raw).ok_or_else(|| {
        let what = format!("is {raw}, outside {MIN_CLUSTER_BITS}..={MAX_CLUSTER_BITS}");
        Place::in_header("cluster_bits", CLUSTER_BITS_AT).malformed(what)
    })
}

/// Bytes of the header, all of which the file must have.
fn header_length(fields: &Fields<'_>, version: u32, cluster: ClusterBits) -> Result<usize> {
    let len = if version == VERSION_2 {
        V2_HEADER_LEN
    } else {
        let place = Place::in_header("header_length", HEADER_LENGTH_AT);
        let len = fields.u32(HEADER_LENGTH_AT)? as usize;
        if !(V3_HEADER_MIN_LEN..=cluster.in_memory()).contains(&len) {
            let what = format!("is {len}, outside {V3_HEADER_MIN_LEN}..={}", cluster.len());
            return Err(place.malformed(what));
        }
        if !len.is_multiple_of(ITEM_ALIGN) {
            return Err(place.malformed(format!("is {len}, which is no multiple of 8")));
        }
        len
    };
    fields.bytes(0, len).map(|_| len)
}

/// How L2 tables divide the disk; small clusters have no subclusters.
fn l2_layout(cluster: ClusterBits, features: Features) -> Result<L2Layout> {
    if features.extended_l2() && cluster.bits() < MIN_EXTENDED_CLUSTER_BITS {
        let what = format!(
            "is {}, below {MIN_EXTENDED_CLUSTER_BITS}, which is the least with extended L2 entries",
            cluster.bits()
        );
        return Err(Place::in_header("cluster_bits", CLUSTER_BITS_AT).malformed(what));
    }
    Ok(L2Layout::new(cluster, features.extended_l2()))
}

/// Guest bytes of the disk.
fn size(fields: &Fields<'_>, limits: &Limits) -> Result<u64> {
    let size = fields.u64(SIZE_AT)?;
    // Offsets have to stay computable, whatever the caller allows.
    Place::in_header("size", SIZE_AT).limited(size, limits.virtual_size.min(i64::MAX as u64))?;
    Ok(size)
}

/// Entries of the L1 table, which has to cover the disk.
fn l1_size(fields: &Fields<'_>, size: u64, l2: L2Layout) -> Result<u32> {
    let place = Place::in_header("l1_size", L1_SIZE_AT);
    let entries = fields.u32(L1_SIZE_AT)?;
    place.limited(u64::from(entries), MAX_L1_LEN / TABLE_ENTRY_LEN)?;
    let needed = size.div_ceil(1 << l2.span_bits());
    if u64::from(entries) < needed {
        let what = format!("is {entries}, but a disk of {size} bytes needs {needed} entries");
        return Err(place.malformed(what));
    }
    if entries > 0 && fields.u64(L1_TABLE_OFFSET_AT)? == 0 {
        return Err(Place::in_header("l1_table_offset", L1_TABLE_OFFSET_AT).malformed("is 0, where the header is"));
    }
    Ok(entries)
}

/// An offset at a cluster border.
fn aligned(fields: &Fields<'_>, name: &'static str, at: usize, cluster: ClusterBits) -> Result<u64> {
    let offset = fields.u64(at)?;
    if cluster.aligns(offset) {
        return Ok(offset);
    }
    let what = format!("is {offset}, which is no multiple of the cluster of {} bytes", cluster.len());
    Err(Place::in_header(name, at).malformed(what))
}

/// Clusters of the refcount table. Where they are counts for a check; reading the disk seldom needs them.
fn refcount_table_clusters(fields: &Fields<'_>, cluster: ClusterBits) -> Result<u64> {
    let clusters = u64::from(fields.u32(REFCOUNT_TABLE_CLUSTERS_AT)?);
    let place = Place::in_header("refcount_table_clusters", REFCOUNT_TABLE_CLUSTERS_AT);
    if clusters == 0 {
        return Err(place.malformed("is 0, but every image has refcounts"));
    }
    place.limited(clusters, MAX_REFCOUNT_TABLE_LEN / cluster.len())?;
    Ok(clusters)
}

/// log2 of the bits of a refcount.
fn refcount_order(fields: &Fields<'_>, version: u32) -> Result<u32> {
    if version == VERSION_2 {
        return Ok(V2_REFCOUNT_ORDER);
    }
    let order = fields.u32(REFCOUNT_ORDER_AT)?;
    if order > MAX_REFCOUNT_ORDER {
        let what = format!("is {order}, above {MAX_REFCOUNT_ORDER}");
        return Err(Place::in_header("refcount_order", REFCOUNT_ORDER_AT).malformed(what));
    }
    Ok(order)
}

/// How clusters are compressed. A header that is too short for the field means deflate.
fn codec(fields: &Fields<'_>, header_length: usize, features: Features) -> Result<Codec> {
    let place = Place::in_header("compression_type", COMPRESSION_TYPE_AT);
    let raw = match header_length > COMPRESSION_TYPE_AT {
        true => fields.bytes(COMPRESSION_TYPE_AT, 1)?[0],
        false => COMPRESSION_ZLIB,
    };
    let codec = match raw {
        COMPRESSION_ZLIB => Codec::Deflate,
        COMPRESSION_ZSTD => Codec::Zstd,
        other => return Err(place.unsupported(format!("is {other}, neither 0 (zlib) nor 1 (zstd)"))),
    };
    if features.compression() == (raw == COMPRESSION_ZLIB) {
        let bit = if features.compression() { "set" } else { "clear" };
        return Err(place.malformed(format!("is {raw}, but its bit of incompatible_features is {bit}")));
    }
    Ok(codec)
}

/// How many snapshots there are.
fn nb_snapshots(fields: &Fields<'_>) -> Result<u32> {
    let count = fields.u32(NB_SNAPSHOTS_AT)?;
    Place::in_header("nb_snapshots", NB_SNAPSHOTS_AT).limited(u64::from(count), MAX_SNAPSHOTS)?;
    Ok(count)
}

/// Where the snapshot table is; without snapshots, the field means nothing.
fn snapshots_offset(fields: &Fields<'_>, cluster: ClusterBits) -> Result<u64> {
    if fields.u32(NB_SNAPSHOTS_AT)? == 0 {
        return Ok(0);
    }
    aligned(fields, "snapshots_offset", SNAPSHOTS_OFFSET_AT, cluster)
}

/// Bytes that are read first, of the first cluster and what may lie behind a small one.
const FIRST_READ_LEN: usize = 4096;

#[cfg(test)]
mod tests {
    use imgfmt_core::ErrorKind;

    use super::*;
    use crate::layout::{BACKING_FILE_OFFSET_AT, BACKING_FILE_SIZE_AT, CRYPT_METHOD_AT, INCOMPATIBLE_FEATURES_AT};

    /// A header of version 3 for an empty disk of 1 MiB in clusters of 512 bytes.
    fn valid() -> Vec<u8> {
        let mut bytes = vec![0; 512];
        bytes[..4].copy_from_slice(&MAGIC);
        for (at, value) in [(VERSION_AT, 3), (CLUSTER_BITS_AT, 9), (L1_SIZE_AT, 32), (REFCOUNT_TABLE_CLUSTERS_AT, 1)] {
            put(&mut bytes, at, value);
        }
        for (at, value) in [(REFCOUNT_ORDER_AT, 4), (HEADER_LENGTH_AT, 112), (SIZE_AT + 4, 1 << 20)] {
            put(&mut bytes, at, value);
        }
        put(&mut bytes, L1_TABLE_OFFSET_AT + 4, 1024);
        bytes
    }

    /// Puts a 32-bit integer; the lower half of a 64-bit field lies 4 bytes behind its offset.
    fn put(bytes: &mut [u8], at: usize, value: u32) {
        bytes[at..at + 4].copy_from_slice(&value.to_be_bytes());
    }

    fn parse(bytes: &[u8]) -> Result<Header> {
        Header::parse(bytes, &Limits::default())
    }

    #[test]
    fn a_valid_header_is_what_it_says() {
        let header = parse(&valid()).unwrap();
        assert_eq!((header.version, header.cluster.len(), header.size), (3, 512, 1 << 20));
        assert_eq!((header.l1_size, header.l1_table_offset, header.codec), (32, 1024, Codec::Deflate));
        assert_eq!((header.backing_name, header.nb_snapshots, header.header_length), (None, 0, 112));
    }

    #[test]
    fn every_broken_rule_is_told_with_its_byte_and_field() {
        use ErrorKind::{LimitExceeded, Malformed, Unsupported};
        for (at, value, kind, byte, field) in [
            (MAGIC_AT, 0, Malformed, 0, "magic"),
            (VERSION_AT, 1, Unsupported, 4, "version"),
            (BACKING_FILE_OFFSET_AT + 4, 104, Malformed, 8, "backing_file_offset"),
            (BACKING_FILE_OFFSET_AT + 4, 513, Malformed, 8, "backing_file_offset"),
            (CLUSTER_BITS_AT, 8, Malformed, 20, "cluster_bits"),
            (CLUSTER_BITS_AT, 22, Malformed, 20, "cluster_bits"),
            (SIZE_AT, 1 << 31, LimitExceeded, 24, "size"),
            (CRYPT_METHOD_AT, 3, Unsupported, 32, "crypt_method"),
            (L1_SIZE_AT, 31, Malformed, 36, "l1_size"),
            (L1_SIZE_AT, (4 << 20) + 1, LimitExceeded, 36, "l1_size"),
            (L1_TABLE_OFFSET_AT + 4, 1025, Malformed, 40, "l1_table_offset"),
            (L1_TABLE_OFFSET_AT + 4, 0, Malformed, 40, "l1_table_offset"),
            (REFCOUNT_TABLE_OFFSET_AT + 4, 8, Malformed, 48, "refcount_table_offset"),
            (REFCOUNT_TABLE_CLUSTERS_AT, 0, Malformed, 56, "refcount_table_clusters"),
            (REFCOUNT_TABLE_CLUSTERS_AT, 16_385, LimitExceeded, 56, "refcount_table_clusters"),
            (NB_SNAPSHOTS_AT, 65_537, LimitExceeded, 60, "nb_snapshots"),
            (INCOMPATIBLE_FEATURES_AT + 4, 1 << 5, Unsupported, 72, "incompatible_features"),
            (REFCOUNT_ORDER_AT, 7, Malformed, 96, "refcount_order"),
            (HEADER_LENGTH_AT, 100, Malformed, 100, "header_length"),
            (HEADER_LENGTH_AT, 106, Malformed, 100, "header_length"),
            (COMPRESSION_TYPE_AT, 1 << 24, Malformed, 104, "compression_type"),
            (COMPRESSION_TYPE_AT, 2 << 24, Unsupported, 104, "compression_type"),
        ] {
            let mut bytes = valid();
            put(&mut bytes, at, value);
            let error = parse(&bytes).unwrap_err();
            assert_eq!((error.kind(), error.offset(), error.field_name()), (kind, Some(byte), Some(field)), "{error}");
        }
    }

    #[test]
    fn every_cut_of_a_header_is_out_of_bounds() {
        for len in 0..112 {
            assert_eq!(parse(&valid()[..len]).unwrap_err().kind(), ErrorKind::OutOfBounds, "{len}");
        }
        assert!(parse(&valid()[..112]).is_ok());
    }

    #[test]
    fn version_2_has_no_features_whatever_lies_behind_it() {
        let mut bytes = valid();
        put(&mut bytes, VERSION_AT, 2);
        bytes[V2_HEADER_LEN..].fill(0);
        put(&mut bytes, V2_HEADER_LEN, 0x1234_5678);
        let header = parse(&bytes).unwrap();
        assert_eq!((header.features, header.refcount_order, header.header_length), (Features::default(), 4, 72));
        assert_eq!(header.extensions.unknown().count(), 1);
    }

    #[test]
    fn a_backing_name_is_its_bytes() {
        let mut bytes = valid();
        put(&mut bytes, BACKING_FILE_OFFSET_AT + 4, 508);
        put(&mut bytes, BACKING_FILE_SIZE_AT, 4);
        bytes[508..].copy_from_slice(b"a b\xff");
        assert_eq!(parse(&bytes).unwrap().backing_name.unwrap().as_os_str().as_encoded_bytes(), b"a b\xff");
        assert_eq!(parse(&bytes[..511]).unwrap_err().kind(), ErrorKind::OutOfBounds);
        put(&mut bytes, BACKING_FILE_SIZE_AT, 5);
        assert_eq!(parse(&bytes).unwrap_err().field_name(), Some("backing_file_size"));
        bytes[509] = 0;
        put(&mut bytes, BACKING_FILE_SIZE_AT, 4);
        assert_eq!(parse(&bytes).unwrap_err().kind(), ErrorKind::Malformed);
    }
}
