//! The header cluster of a new image.

use std::os::unix::ffi::OsStrExt;

use imgfmt_core::codec::Codec;
use imgfmt_core::{Error, Result};

use super::allocate::RefcountTable;
use super::settings::Settings;
use crate::layout::{self, HeaderExtension};

/// Builds the first cluster: header, extensions and the backing file's name.
pub(super) fn build(settings: &Settings, l1_host: u64, refcounts: &RefcountTable) -> Result<Vec<u8>> {
    let header_len = if settings.version >= 3 { layout::V3_HEADER_LEN } else { layout::V2_HEADER_LEN };
    let mut header = vec![0; header_len];
    put32(&mut header, layout::MAGIC_AT, u32::from_be_bytes(layout::MAGIC));
    put32(&mut header, layout::VERSION_AT, settings.version);
    put32(&mut header, layout::CLUSTER_BITS_AT, settings.cluster_bits);
    put64(&mut header, layout::SIZE_AT, settings.size);
    let l1_entries = u32::try_from(settings.l1_entries()).map_err(|_| Error::limit("the L1 table is too large"))?;
    put32(&mut header, layout::L1_SIZE_AT, l1_entries);
    put64(&mut header, layout::L1_TABLE_OFFSET_AT, l1_host);
    put64(&mut header, layout::REFCOUNT_TABLE_OFFSET_AT, refcounts.host);
    put32(&mut header, layout::REFCOUNT_TABLE_CLUSTERS_AT, refcounts.clusters);
    if settings.version >= 3 {
        put_v3_fields(&mut header, settings);
    }
    put_extensions(&mut header, settings);
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
fn put_v3_fields(header: &mut [u8], settings: &Settings) {
    if settings.codec == Codec::Zstd {
        put64(header, layout::INCOMPATIBLE_FEATURES_AT, layout::INCOMPATIBLE_COMPRESSION);
        header[layout::COMPRESSION_TYPE_AT] = layout::COMPRESSION_ZSTD;
    }
    if settings.lazy_refcounts {
        put64(header, layout::COMPATIBLE_FEATURES_AT, layout::COMPATIBLE_LAZY_REFCOUNTS);
    }
    put32(header, layout::REFCOUNT_ORDER_AT, settings.refcount_order);
    put32(header, layout::HEADER_LENGTH_AT, u32::try_from(header.len()).unwrap_or(u32::MAX));
}

/// The header extensions, the end marker last. Version 2 has them too, for the backing format.
fn put_extensions(header: &mut Vec<u8>, settings: &Settings) {
    if let Some(format) = settings.backing.as_ref().and_then(|backing| backing.format.as_deref()) {
        put_extension(header, HeaderExtension::BACKING_FORMAT, format.as_bytes());
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
