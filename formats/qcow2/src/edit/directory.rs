//! The bitmap directory as it is stored: entries that are kept as they are, but for what is changed of them.

use byteorder::{BigEndian, ByteOrder};
use imgfmt_core::{Error, Limits, Result, StorageExt};

use super::disk::Disk;
use crate::bitmaps::Bitmap;
use crate::layout::{
    AUTOCLEAR_BITMAPS, AUTOCLEAR_FEATURES_AT, BITMAP_ENTRY_LEN, BITMAP_TYPE_DIRTY, HeaderExtension, ITEM_ALIGN,
    MAX_BITMAP_NAME_LEN, MAX_BITMAPS,
};
use imgfmt_core::fields::Fields;

/// An entry of the directory, padded.
#[derive(Clone)]
pub(super) struct Entry(Vec<u8>);

impl Entry {
    /// A new bitmap without bits.
    ///
    /// # Errors
    ///
    /// [`Invalid`](imgfmt_core::ErrorKind::Invalid) for a name that is empty or too long.
    pub(super) fn new(name: &str, granularity: u64) -> Result<Self> {
        if name.is_empty() || name.len() > MAX_BITMAP_NAME_LEN {
            return Err(Error::invalid(format!("the name of a bitmap has 1 to {MAX_BITMAP_NAME_LEN} bytes")));
        }
        let mut bytes = vec![0; BITMAP_ENTRY_LEN];
        bytes[TYPE_AT] = BITMAP_TYPE_DIRTY;
        bytes[TYPE_AT + 1] = u8::try_from(granularity.trailing_zeros()).unwrap_or(u8::MAX);
        BigEndian::write_u16(&mut bytes[NAME_LEN_AT..], u16::try_from(name.len()).unwrap_or(u16::MAX));
        bytes.extend_from_slice(name.as_bytes());
        bytes.resize(bytes.len().next_multiple_of(ITEM_ALIGN), 0);
        Ok(Self(bytes))
    }

    /// Its name.
    pub(super) fn name(&self) -> String {
        let extra = BigEndian::read_u32(&self.0[EXTRA_LEN_AT..]) as usize;
        let start = BITMAP_ENTRY_LEN + extra;
        let len = usize::from(BigEndian::read_u16(&self.0[NAME_LEN_AT..]));
        String::from_utf8_lossy(&self.0[start..start + len]).into_owned()
    }

    /// Guest bytes that one bit stands for.
    pub(super) fn granularity(&self) -> u64 {
        1 << self.0[TYPE_AT + 1]
    }

    /// Host byte and entries of its table.
    pub(super) fn table(&self) -> (u64, u64) {
        (BigEndian::read_u64(&self.0), u64::from(BigEndian::read_u32(&self.0[TABLE_SIZE_AT..])))
    }

    /// Says where its table is.
    pub(super) fn set_table(&mut self, host: u64, entries: u64) {
        BigEndian::write_u64(&mut self.0, host);
        BigEndian::write_u32(&mut self.0[TABLE_SIZE_AT..], u32::try_from(entries).unwrap_or(u32::MAX));
    }

    /// Whether a flag is set.
    pub(super) fn has(&self, flag: u32) -> bool {
        BigEndian::read_u32(&self.0[FLAGS_AT..]) & flag != 0
    }

    /// Sets or clears a flag.
    pub(super) fn put(&mut self, flag: u32, set: bool) {
        let flags = BigEndian::read_u32(&self.0[FLAGS_AT..]);
        BigEndian::write_u32(&mut self.0[FLAGS_AT..], if set { flags | flag } else { flags & !flag });
    }
}

impl Disk<'_> {
    /// Reads the bitmap directory.
    ///
    /// # Errors
    ///
    /// What reading meets.
    pub(super) fn directory(&self) -> Result<Vec<Entry>> {
        let Some((count, len, host)) = self.directory_place()? else { return Ok(Vec::new()) };
        let bytes = self.medium.read_vec(host, len)?;
        let fields = Fields::new(&bytes, host);
        let (mut entries, mut at) = (Vec::new(), 0);
        for _ in 0..count {
            let (_, next) = Bitmap::parse(&fields, at)?;
            let mut entry = bytes[at..next.min(bytes.len())].to_vec();
            entry.resize(next - at, 0);
            entries.push(Entry(entry));
            at = next;
        }
        Ok(entries)
    }

    /// How many bitmaps there are, and bytes and place of the directory.
    fn directory_place(&self) -> Result<Option<(u64, usize, u64)>> {
        let bitmaps = self.head.has_features() && self.head.get64(AUTOCLEAR_FEATURES_AT) & AUTOCLEAR_BITMAPS != 0;
        let extension = self.head.extensions.iter().rfind(|(kind, _)| *kind == HeaderExtension::BITMAPS);
        let Some((_, data)) = extension.filter(|_| bitmaps) else { return Ok(None) };
        let fields = Fields::new(data, 0);
        let count = u64::from(fields.u32(COUNT_AT)?);
        Limits::check("nb_bitmaps", count, MAX_BITMAPS)?;
        let len = self.context.limits.table_len("bitmap_directory_size", fields.u64(LEN_AT)?, 1)?;
        Ok(Some((count, len, fields.u64(PLACE_AT)?)))
    }

    /// Writes the directory to a new place, and then says in the header that it is there, in the sector that also says how large
    /// the disk is: bitmaps fit their disk at any time.
    ///
    /// # Errors
    ///
    /// [`Io`](imgfmt_core::ErrorKind::Io); [`Invalid`](imgfmt_core::ErrorKind::Invalid) where there is no room.
    pub(super) fn switch_directory(&mut self, entries: &[Entry]) -> Result<()> {
        let old = self.directory_place()?;
        let bytes: Vec<u8> = entries.iter().flat_map(|entry| entry.0.iter().copied()).collect();
        let mut extension = None;
        if !bytes.is_empty() {
            let host = self.take_run((bytes.len() as u64).div_ceil(self.cluster().len()))?;
            self.medium.write_at(&bytes, host)?;
            let mut data = vec![0; EXTENSION_LEN];
            BigEndian::write_u32(&mut data[COUNT_AT..], u32::try_from(entries.len()).unwrap_or(u32::MAX));
            BigEndian::write_u64(&mut data[LEN_AT..], bytes.len() as u64);
            BigEndian::write_u64(&mut data[PLACE_AT..], host);
            extension = Some(data);
        }
        self.write_counts()?;
        self.medium.sync()?;
        let features = self.head.get64(AUTOCLEAR_FEATURES_AT) & !AUTOCLEAR_BITMAPS;
        let bit = if extension.is_some() { AUTOCLEAR_BITMAPS } else { 0 };
        self.head.put64(AUTOCLEAR_FEATURES_AT, features | bit);
        self.head.set_extension(HeaderExtension::BITMAPS, extension);
        self.put_header();
        self.head.rewrite(self.medium.as_ref())?;
        if let Some((_, len, host)) = old
            && len > 0
        {
            self.give_up_bytes(host, len as u64);
        }
        self.flush()
    }
}

/// Offset of the length of a bitmap's table. Specification, "Bitmap directory".
const TABLE_SIZE_AT: usize = 8;
/// Offset of the flags.
const FLAGS_AT: usize = 12;
/// Offset of the type, which the granularity follows.
const TYPE_AT: usize = 16;
/// Offset of the length of the name.
const NAME_LEN_AT: usize = 18;
/// Offset of the length of the extra data.
const EXTRA_LEN_AT: usize = 20;
/// Bytes of the header extension. Specification, "Bitmaps extension".
const EXTENSION_LEN: usize = 24;
/// Offset of the number of bitmaps in it.
const COUNT_AT: usize = 0;
/// Offset of the length of the directory in it.
const LEN_AT: usize = 8;
/// Offset of the place of the directory in it.
const PLACE_AT: usize = 16;
