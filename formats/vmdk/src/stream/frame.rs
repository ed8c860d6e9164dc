//! A grain with its marker, as it comes.

use imgfmt_core::{Codec, Error, Result, StreamForm, StreamPart};

use super::input::Input;
use crate::grain;
use crate::header::Header;
use crate::layout::{GRAIN_MARKER_LEN, HEADER_LEN, MARKER_SIZE_AT, SECTOR_LEN, byte_of, le_u32, le_u64};

/// A grain whose marker has come.
pub(super) struct Frame {
    /// Its number.
    pub(super) number: u64,
    /// Its first guest byte.
    start: u64,
    /// Guest bytes of it that are within the disk.
    len: u64,
    /// Guest bytes of a whole grain.
    unit: u64,
    /// Bytes of its zlib stream.
    size: usize,
}

impl Frame {
    /// Checks the marker in `sector`, which is sector `at`, against a disk of `size` bytes.
    pub(super) fn parse(sector: &[u8; HEADER_LEN], at: u64, header: &Header, size: u64) -> Result<Self> {
        let lba = le_u64::<0, HEADER_LEN>(sector);
        let (start, unit) = (byte_of(lba), header.grain_len());
        if !lba.is_multiple_of(header.grain_size) || start >= size {
            let what = format!("is {lba}, where no grain of the disk starts");
            return Err(Error::malformed(what).field("val").at(byte_of(at)));
        }
        let stream = le_u32::<MARKER_SIZE_AT, HEADER_LEN>(sector);
        if u64::from(stream) + GRAIN_MARKER_LEN as u64 > grain::max_stored_len(unit) {
            let what = format!("is {stream}, above {} for a grain of {unit} bytes", unit * 2);
            return Err(Error::malformed(what).field("size").at(byte_of(at) + MARKER_SIZE_AT as u64));
        }
        let number = lba / header.grain_size;
        let len = unit.min(size - start);
        Ok(Self { number, start, len, unit, size: usize::try_from(stream).unwrap_or(usize::MAX) })
    }

    /// Reads what follows the marker's `sector`, and hands out the grain.
    pub(super) fn read(&self, sector: &[u8; HEADER_LEN], input: &mut Input, bytes: &mut Vec<u8>) -> Result<StreamPart> {
        let first = bytes.len();
        let here = self.size.min(HEADER_LEN - GRAIN_MARKER_LEN);
        bytes.extend_from_slice(&sector[GRAIN_MARKER_LEN..GRAIN_MARKER_LEN + here]);
        let framed = (self.size + GRAIN_MARKER_LEN) as u64;
        input.append(bytes, framed.next_multiple_of(SECTOR_LEN) - SECTOR_LEN, "a grain")?;
        bytes.truncate(first + self.size);
        let unit = u32::try_from(self.unit).unwrap_or(u32::MAX);
        let form = StreamForm::Encoded { codec: Codec::Zlib, unit, body: first..first + self.size };
        Ok(StreamPart { start: self.start, len: self.len, form })
    }
}
