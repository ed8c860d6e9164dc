//! The header, and the name of the backing file.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use imgfmt_core::{Error, Limits, Result, Storage, StorageExt};

use crate::layout::{
    BACKING_FILE_OFFSET_AT, BACKING_FILE_SIZE_AT, CLUSTER_BITS, CLUSTER_BITS_AT, CRYPT_AES, CRYPT_METHOD_AT,
    CRYPT_NONE, ENTRY_LEN, HEADER_LEN, L1_TABLE_OFFSET_AT, L2_BITS, L2_BITS_AT, MAGIC, MAX_BACKING_NAME_LEN, MTIME_AT,
    SIZE_AT, VERSION, VERSION_AT, be_u32, be_u64, field,
};

/// A header that keeps the rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// Where the name of the backing file is: its byte and its length.
    pub(crate) backing: Option<(u64, u32)>,
    /// `mtime`: seconds since 1970.
    pub(crate) mtime: u32,
    /// Guest bytes of the disk.
    pub(crate) size: u64,
    /// log2 of the bytes of a cluster.
    pub(crate) cluster_bits: u32,
    /// log2 of the entries of an L2 table.
    pub(crate) l2_bits: u32,
    /// Whether clusters are encrypted, with AES.
    pub(crate) encrypted: bool,
    /// Host byte of the L1 table.
    pub(crate) l1_table_offset: u64,
}

impl Header {
    /// Reads the header.
    pub(crate) fn read(storage: &dyn Storage, limits: &Limits) -> Result<Self> {
        Self::parse(&storage.read_array::<HEADER_LEN>(0)?, limits)
    }

    /// Checks every rule that the header alone can break.
    pub(crate) fn parse(header: &[u8; HEADER_LEN], limits: &Limits) -> Result<Self> {
        if !header.starts_with(&MAGIC) {
            return Err(Error::malformed("is not \"QFI\\xfb\"").field("magic").at(0));
        }
        let version = be_u32::<VERSION_AT>(header);
        if version != VERSION {
            let what = format!("is {version}, not 1; 2 and 3 are those of another format");
            return Err(Error::unsupported(what).field("version").at(VERSION_AT as u64));
        }
        Ok(Self {
            backing: backing(header)?,
            mtime: be_u32::<MTIME_AT>(header),
            size: size(header, limits)?,
            cluster_bits: bits("cluster_bits", CLUSTER_BITS_AT, field::<CLUSTER_BITS_AT, 1>(header)[0], CLUSTER_BITS)?,
            l2_bits: bits("l2_bits", L2_BITS_AT, field::<L2_BITS_AT, 1>(header)[0], L2_BITS)?,
            encrypted: encrypted(header)?,
            l1_table_offset: l1_table_offset(header)?,
        })
    }

    /// Bytes of a cluster.
    pub(crate) fn cluster_len(&self) -> u64 {
        1 << self.cluster_bits
    }

    /// log2 of the guest bytes that an L1 entry is for.
    pub(crate) fn span_bits(&self) -> u32 {
        self.cluster_bits + self.l2_bits
    }

    /// Bytes of an L2 table.
    pub(crate) fn l2_len(&self) -> u64 {
        ENTRY_LEN << self.l2_bits
    }

    /// Entries of the L1 table.
    pub(crate) fn l1_entries(&self) -> u64 {
        self.size.div_ceil(1 << self.span_bits())
    }

    /// The name of the backing file: the bytes as they are, never anything but a file name.
    ///
    /// # Errors
    ///
    /// [`Malformed`](imgfmt_core::ErrorKind::Malformed) where it cannot be a file name,
    /// [`OutOfBounds`](imgfmt_core::ErrorKind::OutOfBounds) where the file ends within it.
    pub(crate) fn backing_name(&self, storage: &dyn Storage) -> Result<Option<PathBuf>> {
        let Some((at, len)) = self.backing else { return Ok(None) };
        let name = storage.read_vec(at, len as usize)?;
        if name.contains(&0) {
            return Err(Error::malformed("the backing file name holds a NUL byte").at(at));
        }
        Ok(Some(PathBuf::from(OsStr::from_bytes(&name))))
    }
}

/// Where the name of the backing file is.
fn backing(header: &[u8; HEADER_LEN]) -> Result<Option<(u64, u32)>> {
    let (at, len) = (be_u64::<BACKING_FILE_OFFSET_AT>(header), be_u32::<BACKING_FILE_SIZE_AT>(header));
    if at == 0 {
        return Ok(None);
    }
    if at < HEADER_LEN as u64 {
        let what = format!("is {at}, within the header of {HEADER_LEN} bytes");
        return Err(Error::malformed(what).field("backing_file_offset").at(BACKING_FILE_OFFSET_AT as u64));
    }
    if len == 0 || len > MAX_BACKING_NAME_LEN {
        let what = format!("is {len}, outside 1..={MAX_BACKING_NAME_LEN}");
        return Err(Error::malformed(what).field("backing_file_size").at(BACKING_FILE_SIZE_AT as u64));
    }
    Ok(Some((at, len)))
}

/// Guest bytes of the disk.
fn size(header: &[u8; HEADER_LEN], limits: &Limits) -> Result<u64> {
    let size = be_u64::<SIZE_AT>(header);
    // Offsets have to stay computable, whatever the caller allows.
    Limits::check("size", size, limits.virtual_size.min(i64::MAX as u64)).map_err(|e| e.at(SIZE_AT as u64))?;
    Ok(size)
}

/// A power of two within its bounds.
fn bits(name: &'static str, at: usize, raw: u8, allowed: std::ops::RangeInclusive<u8>) -> Result<u32> {
    if allowed.contains(&raw) {
        return Ok(u32::from(raw));
    }
    Err(Error::malformed(format!("is {raw}, outside {allowed:?}")).field(name).at(at as u64))
}

/// Whether clusters are encrypted.
fn encrypted(header: &[u8; HEADER_LEN]) -> Result<bool> {
    match be_u32::<CRYPT_METHOD_AT>(header) {
        CRYPT_NONE => Ok(false),
        CRYPT_AES => Ok(true),
        other => {
            let what = format!("is {other}, neither 0 (none) nor 1 (AES)");
            Err(Error::unsupported(what).field("crypt_method").at(CRYPT_METHOD_AT as u64))
        }
    }
}

/// Host byte of the L1 table.
fn l1_table_offset(header: &[u8; HEADER_LEN]) -> Result<u64> {
    let at = be_u64::<L1_TABLE_OFFSET_AT>(header);
    if at < HEADER_LEN as u64 {
        let what = format!("is {at}, within the header of {HEADER_LEN} bytes");
        return Err(Error::malformed(what).field("l1_table_offset").at(L1_TABLE_OFFSET_AT as u64));
    }
    Ok(at)
}

#[cfg(test)]
mod tests {
    use imgfmt_core::{ErrorKind, MemoryStorage};

    use super::*;

    /// The header of a disk of 1 MiB in clusters of 4 KiB.
    fn valid() -> [u8; HEADER_LEN] {
        let mut header = [0; HEADER_LEN];
        header[..4].copy_from_slice(&MAGIC);
        header[CLUSTER_BITS_AT..=L2_BITS_AT].copy_from_slice(&[12, 9]);
        for (at, value) in [(VERSION_AT, 1), (SIZE_AT + 4, 1 << 20), (L1_TABLE_OFFSET_AT + 4, 48)] {
            put(&mut header, at, value);
        }
        header
    }

    /// Puts 4 bytes; the lower half of a 64-bit field lies 4 bytes behind its offset.
    fn put(header: &mut [u8; HEADER_LEN], at: usize, value: u32) {
        header[at..at + 4].copy_from_slice(&value.to_be_bytes());
    }

    #[test]
    fn a_valid_header_is_what_it_says() {
        let header = Header::parse(&valid(), &Limits::default()).unwrap();
        assert_eq!((header.size, header.cluster_len(), header.l2_len()), (1 << 20, 4096, 4096));
        assert_eq!((header.l1_entries(), header.encrypted, header.backing), (1, false, None));
    }

    #[test]
    fn every_broken_rule_names_its_field_and_byte() {
        use ErrorKind::{LimitExceeded, Malformed, Unsupported};
        for (at, value, kind, byte, name) in [
            (0, 0, Malformed, 0, "magic"),
            (VERSION_AT, 2, Unsupported, 4, "version"),
            (BACKING_FILE_OFFSET_AT + 4, 47, Malformed, 8, "backing_file_offset"),
            (BACKING_FILE_OFFSET_AT + 4, 48, Malformed, 16, "backing_file_size"),
            (SIZE_AT, 1 << 31, LimitExceeded, 24, "size"),
            (CLUSTER_BITS_AT, 0x0809_0000, Malformed, 32, "cluster_bits"),
            (CLUSTER_BITS_AT, 0x1109_0000, Malformed, 32, "cluster_bits"),
            (CLUSTER_BITS_AT, 0x0c05_0000, Malformed, 33, "l2_bits"),
            (CLUSTER_BITS_AT, 0x0c0e_0000, Malformed, 33, "l2_bits"),
            (CRYPT_METHOD_AT, 2, Unsupported, 36, "crypt_method"),
            (L1_TABLE_OFFSET_AT + 4, 0, Malformed, 40, "l1_table_offset"),
        ] {
            let mut header = valid();
            put(&mut header, at, value);
            let error = Header::parse(&header, &Limits::default()).unwrap_err();
            assert_eq!((error.kind(), error.offset(), error.field_name()), (kind, Some(byte), Some(name)), "{error}");
        }
    }

    #[test]
    fn every_cut_of_a_header_is_out_of_bounds() {
        for len in 0..HEADER_LEN {
            let error = Header::read(&MemoryStorage::new(&valid()[..len]), &Limits::default()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::OutOfBounds, "{len}");
        }
    }

    #[test]
    fn a_backing_name_is_its_bytes() {
        let mut header = valid();
        put(&mut header, BACKING_FILE_OFFSET_AT + 4, 48);
        put(&mut header, BACKING_FILE_SIZE_AT, 4);
        let name = |bytes: &[u8]| {
            let storage = MemoryStorage::new([&header, bytes].concat());
            Header::read(&storage, &Limits::default()).unwrap().backing_name(&storage)
        };
        assert_eq!(name(b"a b\xff").unwrap().unwrap().as_os_str().as_encoded_bytes(), b"a b\xff");
        assert_eq!(name(b"a b").unwrap_err().kind(), ErrorKind::OutOfBounds);
        assert_eq!(name(b"a\0bc").unwrap_err().kind(), ErrorKind::Malformed);
    }
}
