//! The first cluster: changed a sector at a time, so that each change is there or not.

use std::path::Path;

use byteorder::{BigEndian, ByteOrder};
use imgfmt_core::{Error, Medium, Result, StorageExt};

use crate::header::Header;
use crate::layout::{
    self, BACKING_FILE_OFFSET_AT, BACKING_FILE_SIZE_AT, HeaderExtension, ITEM_ALIGN, MAX_BACKING_NAME_LEN, VERSION_2,
};

/// The first cluster of an image.
pub(super) struct Head {
    /// Its bytes.
    bytes: Vec<u8>,
    /// The extensions, all of them, in order.
    pub(super) extensions: Vec<(HeaderExtension, Vec<u8>)>,
    /// The name of the backing file, if there is one.
    pub(super) backing: Option<Vec<u8>>,
    /// Bytes of the header itself.
    header_len: usize,
}

impl Head {
    /// Reads the first cluster of the image in `medium`.
    ///
    /// # Errors
    ///
    /// What reading meets.
    pub(super) fn read(medium: &dyn Medium, header: &Header) -> Result<Self> {
        use std::os::unix::ffi::OsStrExt;
        let mut bytes = vec![0; header.cluster.in_memory()];
        medium.read_padded(&mut bytes, 0)?;
        let backing = header.backing_name.as_deref().map(|name: &Path| name.as_os_str().as_bytes().to_vec());
        Ok(Self { bytes, extensions: header.extensions.all(), backing, header_len: header.header_length })
    }

    /// Changes a 32-bit field of the header, in memory.
    pub(super) fn put32(&mut self, at: usize, value: u32) {
        BigEndian::write_u32(&mut self.bytes[at..at + 4], value);
    }

    /// Changes a 64-bit field of the header, in memory.
    pub(super) fn put64(&mut self, at: usize, value: u64) {
        BigEndian::write_u64(&mut self.bytes[at..at + 8], value);
    }

    /// A 64-bit field of the header.
    pub(super) fn get64(&self, at: usize) -> u64 {
        BigEndian::read_u64(&self.bytes[at..at + 8])
    }

    /// Whether there are fields of version 3.
    pub(super) fn has_features(&self) -> bool {
        BigEndian::read_u32(&self.bytes[layout::VERSION_AT..]) != VERSION_2
    }

    /// Writes the sector that the header is in.
    ///
    /// # Errors
    ///
    /// [`Io`](imgfmt_core::ErrorKind::Io).
    pub(super) fn write(&self, medium: &dyn Medium) -> Result<()> {
        medium.write_at(&self.bytes[..SECTOR_LEN], 0)
    }

    /// Makes the header one of version 2 or 3.
    pub(super) fn set_version(&mut self, version: u32) {
        let len = if version == VERSION_2 { layout::V2_HEADER_LEN } else { layout::V3_HEADER_LEN };
        self.bytes[self.header_len.min(len)..].fill(0);
        self.header_len = len;
        self.put32(layout::VERSION_AT, version);
        if version != VERSION_2 {
            self.put32(layout::REFCOUNT_ORDER_AT, layout::V2_REFCOUNT_ORDER);
            self.put32(layout::HEADER_LENGTH_AT, u32::try_from(len).unwrap_or(u32::MAX));
        }
    }

    /// Makes `data` the data of the extension of that kind, or removes it.
    pub(super) fn set_extension(&mut self, kind: HeaderExtension, data: Option<Vec<u8>>) {
        let place = self.extensions.iter().rposition(|(known, _)| *known == kind);
        match (place, data) {
            (Some(place), Some(data)) => self.extensions[place].1 = data,
            (Some(_), None) => self.extensions.retain(|(known, _)| *known != kind),
            (None, Some(data)) => self.extensions.push((kind, data)),
            (None, None) => {}
        }
    }

    /// Puts extensions and the backing file's name behind the header, and writes them: first what the old header does not
    /// refer to, then, in one sector, what refers to it.
    ///
    /// # Errors
    ///
    /// [`Invalid`](imgfmt_core::ErrorKind::Invalid) where they do not fit, [`Io`](imgfmt_core::ErrorKind::Io).
    pub(super) fn rewrite(&mut self, medium: &dyn Medium) -> Result<()> {
        let old = self.bytes.clone();
        let end = self.lay_out()?;
        let name = self.backing.clone().unwrap_or_default();
        let (at, _) = self.place_name(&old, end, name.len())?;
        self.put64(BACKING_FILE_OFFSET_AT, if self.backing.is_some() { at as u64 } else { 0 });
        self.put32(BACKING_FILE_SIZE_AT, u32::try_from(name.len()).unwrap_or(u32::MAX));
        self.bytes[at..at + name.len()].copy_from_slice(&name);
        if self.bytes.len() > SECTOR_LEN && self.bytes[SECTOR_LEN..] != old[SECTOR_LEN..] {
            medium.write_at(&self.bytes[SECTOR_LEN..], SECTOR_LEN as u64)?;
            medium.sync()?;
        }
        self.write(medium)?;
        medium.sync()
    }

    /// Puts the extensions behind the header, in memory, and says where they end. The table of feature names is left out where
    /// it would not fit into the first sector: nothing needs it.
    fn lay_out(&mut self) -> Result<usize> {
        let mut area = Vec::new();
        let names = HeaderExtension::FEATURE_NAMES;
        // What names the bitmaps comes first: it is in the sector of the disk's size, and changes with it as one.
        let (bitmaps, others): (Vec<_>, Vec<_>) =
            self.extensions.iter().partition(|(kind, _)| *kind == HeaderExtension::BITMAPS);
        for (kind, data) in bitmaps.into_iter().chain(others).filter(|(kind, _)| *kind != names) {
            put_extension(&mut area, *kind, data);
        }
        let needed = self.header_len + area.len() + layout::EXTENSION_HEADER_LEN;
        if let Some((kind, data)) = self.extensions.iter().find(|(kind, _)| *kind == names)
            && needed + layout::EXTENSION_HEADER_LEN + data.len() <= SECTOR_LEN
        {
            put_extension(&mut area, *kind, data);
        }
        put_extension(&mut area, HeaderExtension::END, &[]);
        let end = self.header_len + area.len();
        if end > self.bytes.len() {
            return Err(Error::invalid("the header extensions do not fit into the first cluster"));
        }
        self.bytes[self.header_len..end].copy_from_slice(&area);
        let keep = SECTOR_LEN.max(end).min(self.bytes.len());
        self.bytes[end..keep].fill(0);
        Ok(end)
    }

    /// Where a name of `len` bytes goes behind byte `end`: in the first sector, or where the `old` name is not.
    fn place_name(&self, old: &[u8], end: usize, len: usize) -> Result<(usize, usize)> {
        if len > MAX_BACKING_NAME_LEN {
            return Err(Error::invalid(format!(
                "the backing file's name has {len} bytes, above {MAX_BACKING_NAME_LEN}"
            )));
        }
        if end + len <= SECTOR_LEN.min(self.bytes.len()) {
            return Ok((end, len));
        }
        let old_at = usize::try_from(BigEndian::read_u64(&old[BACKING_FILE_OFFSET_AT..])).unwrap_or(0);
        let old_len = BigEndian::read_u32(&old[BACKING_FILE_SIZE_AT..]) as usize;
        let first = end.max(SECTOR_LEN).next_multiple_of(SECTOR_LEN);
        let free = |at: usize| {
            at + len <= old_at / SECTOR_LEN * SECTOR_LEN || at >= (old_at + old_len).next_multiple_of(SECTOR_LEN)
        };
        let places = (first..self.bytes.len()).step_by(SECTOR_LEN).filter(|at| at + len <= self.bytes.len());
        let fits = || Error::invalid("the backing file's name does not fit into the first cluster");
        // Where there is no other room, the old name is overwritten: a cut then can lose it.
        let any = places.clone().find(|at| free(*at)).or_else(|| places.clone().next());
        any.map(|at| (at, len)).ok_or_else(fits)
    }
}

/// Appends an extension: type, length, data, padding.
fn put_extension(area: &mut Vec<u8>, kind: HeaderExtension, data: &[u8]) {
    area.extend_from_slice(&kind.0.to_be_bytes());
    area.extend_from_slice(&u32::try_from(data.len()).unwrap_or(u32::MAX).to_be_bytes());
    area.extend_from_slice(data);
    area.resize(area.len().next_multiple_of(ITEM_ALIGN), 0);
}

/// Bytes that a medium writes as one.
const SECTOR_LEN: usize = 512;
