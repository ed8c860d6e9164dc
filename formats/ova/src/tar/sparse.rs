//! Files with holes, as GNU tar writes them: the map in the header goes on in blocks behind it.

use imgfmt_core::{Error, Limits, Result, Storage, StorageExt};

use super::header::{Header, LEN, NUMBER_LEN, number};
use super::pax::decimal;
use crate::pieces::Piece;

/// The map of a sparse file.
pub(super) struct Map {
    /// Offset and length of each piece.
    pieces: Vec<(u64, u64)>,
    /// Bytes of the file with its holes.
    pub(super) len: u64,
    /// Where the data begins in the archive.
    pub(super) data_at: u64,
}

impl Map {
    /// Reads the map of the file behind `header`, which goes on at `at`.
    ///
    /// # Errors
    ///
    /// [`Malformed`](imgfmt_core::ErrorKind::Malformed), [`OutOfBounds`](imgfmt_core::ErrorKind::OutOfBounds) where the
    /// archive ends within the map, [`LimitExceeded`](imgfmt_core::ErrorKind::LimitExceeded) for too many pieces.
    pub(super) fn read(storage: &dyn Storage, header: &Header, at: u64, limits: &Limits) -> Result<Self> {
        let len = number(&header.block[REAL_SIZE_AT..REAL_SIZE_AT + NUMBER_LEN], "realsize")?;
        let mut map = Self { pieces: Vec::new(), len, data_at: at };
        map.add(&header.block[PIECES_AT..EXTENDED_AT])?;
        let mut more = header.block[EXTENDED_AT];
        while more != 0 {
            limits.table_len("sparse map", map.pieces.len() as u64, size_of::<Piece>() as u64)?;
            let block: [u8; LEN] = storage.read_array(map.data_at)?;
            map.data_at += LEN as u64;
            map.add(&block[..MORE_EXTENDED_AT])?;
            more = block[MORE_EXTENDED_AT];
        }
        Ok(map)
    }

    /// Reads the map that the data of a file of `size` bytes at `at` begins with: decimal numbers on lines of their own, how
    /// many pieces and then offset and length of each, padded to a block.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub(super) fn read_text(storage: &dyn Storage, len: u64, at: u64, size: u64, limits: &Limits) -> Result<Self> {
        let mut lines = Lines { storage, at, end: at.saturating_add(size), rest: Vec::new() };
        let count = lines.number()?;
        limits.table_len("GNU.sparse", count, size_of::<Piece>() as u64)?;
        let mut pieces = Vec::new();
        for _ in 0..count {
            pieces.push((lines.number()?, lines.number()?));
        }
        Ok(Self { pieces, len, data_at: lines.at })
    }

    /// Takes in the pieces of a header or block. The unused ones at its end are empty.
    fn add(&mut self, fields: &[u8]) -> Result<()> {
        for entry in fields.chunks_exact(2 * NUMBER_LEN).take_while(|entry| entry[0] != 0) {
            let (offset, len) = entry.split_at(NUMBER_LEN);
            self.pieces.push((number(offset, "sp.offset")?, number(len, "sp.numbytes")?));
        }
        Ok(())
    }

    /// The pieces with their places in the archive, where `size` bytes of data are.
    ///
    /// # Errors
    ///
    /// [`Malformed`](imgfmt_core::ErrorKind::Malformed) where the pieces are not that long together.
    pub(super) fn pieces(&self, size: u64) -> Result<Vec<Piece>> {
        let mut at = self.data_at;
        let mut pieces = Vec::new();
        for &(start, len) in self.pieces.iter().filter(|(_, len)| *len > 0) {
            // GNU tar pads each piece to a block and does not count that in the size; others do not pad.
            if !(at - self.data_at).is_multiple_of(LEN as u64) {
                let what = "has a piece that ends within a block, with another one behind it";
                return Err(Error::malformed(what).field("sparse map"));
            }
            pieces.push(Piece { start, len, source: 0, at });
            at = at.checked_add(len).ok_or_else(|| Error::malformed("is too large").field("sparse map"))?;
        }
        if at - self.data_at != size {
            let what = format!("has {} bytes of {size}", at - self.data_at);
            return Err(Error::malformed(what).field("sparse map"));
        }
        Ok(pieces)
    }
}

/// Numbers on lines, read block by block.
struct Lines<'a> {
    /// The archive.
    storage: &'a dyn Storage,
    /// The next block.
    at: u64,
    /// The end of the file that the lines are in.
    end: u64,
    /// What was read and not used.
    rest: Vec<u8>,
}

impl Lines<'_> {
    /// The next number.
    fn number(&mut self) -> Result<u64> {
        loop {
            if let Some(end) = self.rest.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                return decimal(&line[..end]);
            }
            if self.rest.len() > LINE_MAX || self.end.saturating_sub(self.at) < LEN as u64 {
                return Err(Error::malformed("has no end").field("sparse map"));
            }
            self.rest.extend(self.storage.read_array::<LEN>(self.at)?);
            self.at += LEN as u64;
        }
    }
}

/// Most bytes of a line: more than any number takes.
const LINE_MAX: usize = 32;
/// Position of `sp` in the header.
const PIECES_AT: usize = 386;
/// Position of `isextended` in the header.
const EXTENDED_AT: usize = 482;
/// Position of `realsize` in the header.
const REAL_SIZE_AT: usize = 483;
/// Position of `isextended` in the blocks that follow.
const MORE_EXTENDED_AT: usize = 504;
