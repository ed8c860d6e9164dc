//! The bitmap directory: which dirty bitmaps an image carries.
//!
//! The header extension: number of bitmaps (4), 0 (4), length of the directory (8), its offset (8). An
//! entry of the directory:
//!
//! | Offset | Size | Field | Rule |
//! |-------:|-----:|---|---|
//! |  0 | 8 | bitmap table offset | |
//! |  8 | 4 | bitmap table size | |
//! | 12 | 4 | flags: in use (bit 0), auto (bit 1), extra data may be ignored (bit 2) | |
//! | 16 | 1 | type | |
//! | 17 | 1 | granularity bits | 9..=31 |
//! | 18 | 2 | length of the name | |
//! | 20 | 4 | length of the extra data | |
//! | 24 | – | extra data, name, padding to a multiple of 8 | |

use imgfmt_core::{BitmapInfo, Error, Limits, Result, Storage, StorageExt};
use serde_json::{Value, json};

use crate::header::Header;
use crate::layout::{
    BITMAP_AUTO, BITMAP_ENTRY_LEN, BITMAP_EXTRA_OPTIONAL, BITMAP_GRANULARITY_BITS, BITMAP_IN_USE, BITMAP_TYPE_DIRTY,
    HeaderExtension, ITEM_ALIGN, MAX_BITMAPS,
};
use imgfmt_core::fields::{Fields, Place};

/// An entry of the bitmap directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bitmap {
    /// Host byte of the entry.
    at: u64,
    /// Host byte of its bitmap table.
    pub(crate) table_offset: u64,
    /// Entries of its bitmap table.
    pub(crate) table_size: u32,
    /// Its type.
    pub(crate) kind: u8,
    /// Bytes of extra data.
    pub(crate) extra_len: u32,
    /// Its name.
    name: String,
    /// log2 of the guest bytes that one bit stands for.
    granularity_bits: u8,
    /// Flag bits.
    flags: u32,
}

impl Bitmap {
    /// Reads the bitmap directory. Without its autoclear bit, it is out of date and means nothing.
    ///
    /// # Errors
    ///
    /// [`Malformed`](imgfmt_core::ErrorKind::Malformed) where the directory breaks its rules,
    /// [`OutOfBounds`](imgfmt_core::ErrorKind::OutOfBounds) where it passes the end of the file,
    /// [`LimitExceeded`](imgfmt_core::ErrorKind::LimitExceeded) where it is too long.
    pub(crate) fn read_all(storage: &dyn Storage, header: &Header, limits: &Limits) -> Result<Vec<Self>> {
        let Some(extension) = header.extensions.find(HeaderExtension::BITMAPS).filter(|_| header.features.bitmaps())
        else {
            return Ok(Vec::new());
        };
        let fields = Fields::new(&extension.data, extension.at);
        let place = |name, at| Place { name, at: fields.host(at) };
        let count = fields.u32(COUNT_AT)?;
        place("nb_bitmaps", COUNT_AT).limited(u64::from(count), MAX_BITMAPS)?;
        let len = limits
            .table_len("bitmap_directory_size", fields.u64(DIRECTORY_LEN_AT)?, 1)
            .map_err(|e| e.at(fields.host(DIRECTORY_LEN_AT)))?;
        let at = fields.u64(DIRECTORY_AT)?;
        let directory = storage.read_vec(at, len).map_err(|e| e.context("the bitmap directory cannot be read"))?;
        parse_directory(&Fields::new(&directory, at), count)
    }

    /// Parses the entry at byte `at` of the directory; returns it and where the next one starts.
    pub(crate) fn parse(directory: &Fields<'_>, at: usize) -> Result<(Self, usize)> {
        let [kind, granularity_bits] = *directory.bytes(at + TYPE_AT, 2)? else {
            return Err(Error::malformed("a bitmap has no type").at(directory.host(at)));
        };
        if !BITMAP_GRANULARITY_BITS.contains(&granularity_bits) {
            let place = Place { name: "granularity_bits", at: directory.host(at + TYPE_AT + 1) };
            return Err(place.malformed(format!("is {granularity_bits}, outside 9..=31")));
        }
        let extra_len = directory.u32(at + EXTRA_LEN_AT)?;
        let name_at = (at + BITMAP_ENTRY_LEN).saturating_add(extra_len as usize);
        let name_len = usize::from(directory.u16(at + NAME_LEN_AT)?);
        let name = String::from_utf8_lossy(directory.bytes(name_at, name_len)?).into_owned();
        let bitmap = Self {
            at: directory.host(at),
            table_offset: directory.u64(at)?,
            table_size: directory.u32(at + TABLE_SIZE_AT)?,
            kind,
            extra_len,
            name,
            granularity_bits,
            flags: directory.u32(at + FLAGS_AT)?,
        };
        Ok((bitmap, (name_at + name_len).next_multiple_of(ITEM_ALIGN)))
    }

    /// What is to be said about it.
    pub(crate) fn info(&self) -> BitmapInfo {
        BitmapInfo {
            name: self.name.clone(),
            granularity: 1 << self.granularity_bits,
            enabled: self.flags & BITMAP_AUTO != 0,
            inconsistent: self.flags & BITMAP_IN_USE != 0,
        }
    }

    /// Whether its bits mean what is known here.
    pub(crate) fn is_known(&self) -> bool {
        self.kind == BITMAP_TYPE_DIRTY && (self.extra_len == 0 || self.extra_is_optional())
    }

    /// Where the entry says where its table is.
    pub(crate) fn table_place(&self) -> Place {
        Place { name: "bitmap_table_offset", at: self.at }
    }

    /// Whether extra data that is not known may be ignored.
    pub(crate) fn extra_is_optional(&self) -> bool {
        self.flags & BITMAP_EXTRA_OPTIONAL != 0
    }

    /// The bitmap under the names that QEMU uses.
    pub(crate) fn to_json(&self) -> Value {
        let flags: Vec<_> = [("in-use", BITMAP_IN_USE), ("auto", BITMAP_AUTO)]
            .iter()
            .filter(|(_, bit)| self.flags & bit != 0)
            .map(|f| f.0)
            .collect();
        json!({ "flags": flags, "name": self.name, "granularity": 1u64 << self.granularity_bits })
    }
}

/// Parses the entries of the directory, of which there are `count`.
fn parse_directory(directory: &Fields<'_>, count: u32) -> Result<Vec<Bitmap>> {
    let mut list = Vec::new();
    let mut at = 0;
    for _ in 0..count {
        let (bitmap, next) = Bitmap::parse(directory, at)?;
        list.push(bitmap);
        at = next;
    }
    Ok(list)
}

/// Offset of the number of bitmaps in the extension.
const COUNT_AT: usize = 0;
/// Offset of the length of the directory in the extension.
const DIRECTORY_LEN_AT: usize = 8;
/// Offset of the directory's place in the extension.
const DIRECTORY_AT: usize = 16;
/// Offset of the number of entries of the table in an entry.
const TABLE_SIZE_AT: usize = 8;
/// Offset of the flags in an entry.
const FLAGS_AT: usize = 12;
/// Offset of the type in an entry; the granularity follows.
const TYPE_AT: usize = 16;
/// Offset of the length of the name in an entry.
const NAME_LEN_AT: usize = 18;
/// Offset of the length of the extra data in an entry.
const EXTRA_LEN_AT: usize = 20;

#[cfg(test)]
mod tests {
    use imgfmt_core::ErrorKind;

    use super::*;

    /// An entry with 4 bytes of extra data.
    fn entry(flags: u8, granularity_bits: u8, name: &str) -> Vec<u8> {
        let mut bytes = vec![0; BITMAP_ENTRY_LEN + 4];
        bytes[FLAGS_AT + 3] = flags;
        bytes[TYPE_AT + 1] = granularity_bits;
        bytes[NAME_LEN_AT + 1] = u8::try_from(name.len()).unwrap();
        bytes[EXTRA_LEN_AT + 3] = 4;
        bytes.extend_from_slice(name.as_bytes());
        bytes.resize(bytes.len().next_multiple_of(ITEM_ALIGN), 0);
        bytes
    }

    #[test]
    fn entries_follow_one_another() {
        let bytes = [entry(2, 16, "first"), entry(1, 9, "second one")].concat();
        let list = parse_directory(&Fields::new(&bytes, 512), 2).unwrap();
        assert_eq!(list[0].to_json(), json!({ "flags": ["auto"], "name": "first", "granularity": 65_536 }));
        assert_eq!(list[1].to_json(), json!({ "flags": ["in-use"], "name": "second one", "granularity": 512 }));
        let error = parse_directory(&Fields::new(&bytes, 512), 3).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OutOfBounds);
    }

    #[test]
    fn a_granularity_beyond_the_bounds_is_malformed() {
        let error = parse_directory(&Fields::new(&entry(0, 64, "x"), 512), 1).unwrap_err();
        assert_eq!((error.kind(), error.offset()), (ErrorKind::Malformed, Some(512 + 17)));
    }
}
