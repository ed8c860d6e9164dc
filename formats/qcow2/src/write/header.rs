//! The header cluster of a new image.

use std::os::unix::ffi::OsStrExt;

use imgfmt_core::codec::Codec;
use imgfmt_core::{Error, Result};

use super::allocate::RefcountTable;
use super::bitmaps::Directory;
use super::settings::Settings;
use crate::crypto::CryptMethod;
use crate::layout::{self, HeaderExtension};

/// What the header says that settings do not.
#[derive(Clone, Copy, Debug)]
pub(super) struct Places {
    /// Guest bytes of the disk.
    pub(super) size: u64,
    /// Host offset of the L1 table.
    pub(super) l1_host: u64,
    /// Where the refcount table is.
    pub(super) refcounts: RefcountTable,
    /// Where the bitmap directory is, if there are bitmaps.
    pub(super) bitmaps: Option<Directory>,
    /// How guest bytes are encrypted.
    pub(super) crypt: CryptMethod,
}

/// Builds the first cluster: header, extensions and the backing file's name.
///
/// # Errors
///
/// [`Invalid`](imgfmt_core::ErrorKind::Invalid) where it takes more than a cluster.
pub(super) fn build(settings: &Settings, places: &Places) -> Result<Vec<u8>> {
    let header_len = if settings.version >= 3 { layout::V3_HEADER_LEN } else { layout::V2_HEADER_LEN };
    let mut header = vec![0; header_len];
    put32(&mut header, layout::MAGIC_AT, u32::from_be_bytes(layout::MAGIC));
    put32(&mut header, layout::VERSION_AT, settings.version);
    put32(&mut header, layout::CLUSTER_BITS_AT, settings.cluster_bits);
    put64(&mut header, layout::SIZE_AT, places.size);
    let l1_entries = settings.l1_entries(places.size)?;
    let l1_entries = u32::try_from(l1_entries).map_err(|_| Error::limit("the L1 table is too large"))?;
    put32(&mut header, layout::L1_SIZE_AT, l1_entries);
    put64(&mut header, layout::L1_TABLE_OFFSET_AT, places.l1_host);
    put64(&mut header, layout::REFCOUNT_TABLE_OFFSET_AT, places.refcounts.host);
    put32(&mut header, layout::REFCOUNT_TABLE_CLUSTERS_AT, places.refcounts.clusters);
    put32(&mut header, layout::CRYPT_METHOD_AT, places.crypt.number());
    if settings.version >= 3 {
        put_v3_fields(&mut header, settings, places);
    }
    put_extensions(&mut header, settings, places);
    put_backing_name(&mut header, settings);
    if header.len() as u64 > settings.cluster_len() {
        return Err(Error::invalid(format!(
            "the header takes {} bytes with the backing file's name, more than a cluster of {}",
            header.len(),
            settings.cluster_len()
        )));
    }
    Ok(header)
}

/// The fields that version 3 added.
fn put_v3_fields(header: &mut [u8], settings: &Settings, places: &Places) {
    let zstd = settings.codec == Codec::Zstd;
    let raw = settings.data_file.as_ref().is_some_and(|file| file.raw);
    let incompatible = [
        (zstd, layout::INCOMPATIBLE_COMPRESSION),
        (settings.data_file.is_some(), layout::INCOMPATIBLE_DATA_FILE),
        (settings.l2.extended(), layout::INCOMPATIBLE_EXTENDED_L2),
    ];
    let compatible = [(settings.lazy_refcounts, layout::COMPATIBLE_LAZY_REFCOUNTS)];
    let autoclear = [(places.bitmaps.is_some(), layout::AUTOCLEAR_BITMAPS), (raw, layout::AUTOCLEAR_DATA_FILE_RAW)];
    put64(header, layout::INCOMPATIBLE_FEATURES_AT, union(&incompatible));
    put64(header, layout::COMPATIBLE_FEATURES_AT, union(&compatible));
    put64(header, layout::AUTOCLEAR_FEATURES_AT, union(&autoclear));
    put32(header, layout::REFCOUNT_ORDER_AT, settings.refcount_order);
    put32(header, layout::HEADER_LENGTH_AT, u32::try_from(header.len()).unwrap_or(u32::MAX));
    header[layout::COMPRESSION_TYPE_AT] = if zstd { layout::COMPRESSION_ZSTD } else { layout::COMPRESSION_ZLIB };
}

/// The bits that are in use, together.
fn union(bits: &[(bool, u64)]) -> u64 {
    bits.iter().filter(|(used, _)| *used).fold(0, |all, (_, bit)| all | bit)
}

/// The header extensions, the end marker last. Version 2 has them too, for the backing format.
fn put_extensions(header: &mut Vec<u8>, settings: &Settings, places: &Places) {
    if let Some(format) = settings.backing.as_ref().and_then(|backing| backing.format.as_deref()) {
        put_extension(header, HeaderExtension::BACKING_FORMAT, format.as_bytes());
    }
    if let Some(data_file) = &settings.data_file {
        put_extension(header, HeaderExtension::DATA_FILE, data_file.name.as_bytes());
    }
    if let Some(luks) = places.crypt.extension() {
        put_extension(header, HeaderExtension::LUKS, &luks);
    }
    if let Some(bitmaps) = &places.bitmaps {
        put_extension(header, HeaderExtension::BITMAPS, &bitmaps.extension());
    }
    if settings.version >= 3 && settings.cluster_len() > SMALL_CLUSTER_LEN {
        put_extension(header, HeaderExtension::FEATURE_NAMES, &feature_names());
    }
    put_extension(header, HeaderExtension::END, &[]);
}

/// One header extension: type, length, data, padding to 8 bytes.
fn put_extension(header: &mut Vec<u8>, kind: HeaderExtension, data: &[u8]) {
    header.extend_from_slice(&kind.0.to_be_bytes());
    header.extend_from_slice(&u32::try_from(data.len()).unwrap_or(u32::MAX).to_be_bytes());
    header.extend_from_slice(data);
    header.resize(header.len().next_multiple_of(8), 0);
}

/// The feature name table: for each feature its kind, its bit, and its name.
fn feature_names() -> Vec<u8> {
    let mut table = Vec::with_capacity(layout::FEATURES.len() * layout::FEATURE_NAME_ENTRY_LEN);
    for feature in layout::FEATURES {
        let end = table.len() + layout::FEATURE_NAME_ENTRY_LEN;
        table.extend_from_slice(&[feature.kind as u8, feature.bit]);
        table.extend_from_slice(feature.name.as_bytes());
        table.resize(end, 0);
    }
    table
}

/// The backing file's name behind the extensions, without a terminator.
fn put_backing_name(header: &mut Vec<u8>, settings: &Settings) {
    let Some(backing) = &settings.backing else { return };
    let name = backing.name.as_os_str().as_bytes();
    let at = header.len() as u64;
    put64(header, layout::BACKING_FILE_OFFSET_AT, at);
    put32(header, layout::BACKING_FILE_SIZE_AT, u32::try_from(name.len()).unwrap_or(u32::MAX));
    header.extend_from_slice(name);
}

/// Writes a big-endian number.
fn put32(header: &mut [u8], at: usize, value: u32) {
    header[at..at + 4].copy_from_slice(&value.to_be_bytes());
}

/// Writes a big-endian number.
fn put64(header: &mut [u8], at: usize, value: u64) {
    header[at..at + 8].copy_from_slice(&value.to_be_bytes());
}

/// Clusters up to this length have no room to spare for the feature name table.
const SMALL_CLUSTER_LEN: u64 = 4096;
