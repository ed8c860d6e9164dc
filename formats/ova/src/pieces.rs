//! Bytes that lie in pieces, with holes between them.

use std::num::NonZeroU64;
use std::sync::Arc;

use imgfmt_core::{Error, FileSlice, Result, Segment, Storage};

/// A run of bytes and where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    /// Its first byte in the whole.
    pub(crate) start: u64,
    /// Its bytes, at least one.
    pub(crate) len: u64,
    /// Which of the sources has it.
    pub(crate) source: usize,
    /// Its first byte in the source.
    pub(crate) at: u64,
}

impl Piece {
    /// The first byte behind it.
    fn end(&self) -> u64 {
        self.start + self.len
    }
}

/// Pieces of other storages as one; what lies between them is a hole.
#[derive(Debug)]
pub(crate) struct Pieces {
    /// Where the pieces are.
    sources: Vec<Arc<dyn Storage>>,
    /// The pieces, ascending and disjoint, within their sources.
    pieces: Vec<Piece>,
    /// Bytes of the whole.
    len: u64,
}

impl Pieces {
    /// A whole of `len` bytes with `pieces` of one source.
    ///
    /// # Errors
    ///
    /// [`Malformed`](imgfmt_core::ErrorKind::Malformed) where pieces overlap or are not in order,
    /// [`OutOfBounds`](imgfmt_core::ErrorKind::OutOfBounds) where one is not in the source, or not in the whole.
    pub(crate) fn sparse(source: Arc<dyn Storage>, pieces: Vec<Piece>, len: u64) -> Result<Self> {
        let mut next = 0;
        for piece in &pieces {
            if piece.start < next {
                return Err(Error::malformed("goes back").field("sparse map").at(piece.at));
            }
            next = piece.start.checked_add(piece.len).filter(|&end| end <= len).ok_or_else(|| {
                Error::malformed(format!("passes the end of a file of {len} bytes")).field("sparse map").at(piece.at)
            })?;
            if piece.at.checked_add(piece.len).is_none_or(|end| end > source.len()) {
                return Err(Error::out_of_bounds("passes the end of the archive").field("sparse map").at(piece.at));
            }
        }
        Ok(Self { sources: vec![source], pieces, len })
    }

    /// All of `sources`, one behind the other.
    ///
    /// # Errors
    ///
    /// [`LimitExceeded`](imgfmt_core::ErrorKind::LimitExceeded) where they are more than 2^64 bytes.
    pub(crate) fn joined(sources: Vec<Arc<dyn Storage>>) -> Result<Self> {
        let mut pieces = Vec::new();
        let mut start: u64 = 0;
        for (source, storage) in sources.iter().enumerate() {
            let len = storage.len();
            if len > 0 {
                pieces.push(Piece { start, len, source, at: 0 });
            }
            start = start.checked_add(len).ok_or_else(|| Error::limit("the parts are too long"))?;
        }
        Ok(Self { sources, pieces, len: start })
    }

    /// The piece at `offset`, or the next one.
    fn next_piece(&self, offset: u64) -> Option<&Piece> {
        self.pieces.get(self.pieces.partition_point(|piece| piece.end() <= offset))
    }
}

impl Storage for Pieces {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        if offset.checked_add(buf.len() as u64).is_none_or(|end| end > self.len) {
            let what = format!("{} bytes are wanted here, but the file ends at byte {}", buf.len(), self.len);
            return Err(Error::out_of_bounds(what).at(offset));
        }
        let (mut buf, mut offset) = (buf, offset);
        while !buf.is_empty() {
            let piece = self.next_piece(offset).copied();
            let within = piece.filter(|piece| piece.start <= offset);
            let end = within.map_or_else(|| piece.map_or(self.len, |piece| piece.start), |piece| piece.end());
            let len = usize::try_from(end - offset).map_or(buf.len(), |len| len.min(buf.len()));
            let (part, rest) = buf.split_at_mut(len);
            match within {
                Some(piece) => self.sources[piece.source].read_at(part, piece.at + (offset - piece.start))?,
                None => part.fill(0),
            }
            buf = rest;
            offset += len as u64;
        }
        Ok(())
    }

    fn segment(&self, offset: u64) -> Result<Segment> {
        let ends = || Error::out_of_bounds(format!("the file ends at byte {}", self.len)).at(offset);
        let all = NonZeroU64::new(self.len.saturating_sub(offset)).ok_or_else(ends)?;
        let until = |end: u64| NonZeroU64::new(end - offset).ok_or_else(ends);
        match self.next_piece(offset) {
            None => Ok(Segment { hole: true, len: all }),
            Some(piece) if piece.start > offset => Ok(Segment { hole: true, len: until(piece.start)? }),
            Some(piece) => {
                let inner = self.sources[piece.source].segment(piece.at + (offset - piece.start))?;
                Ok(Segment { hole: inner.hole, len: inner.len.min(until(piece.end())?) })
            }
        }
    }

    fn as_file(&self) -> Option<FileSlice<'_>> {
        None
    }

    fn as_slice(&self) -> Option<&[u8]> {
        None
    }
}

#[cfg(test)]
mod tests {
    use imgfmt_core::{MemoryStorage, StorageExt};

    use super::*;

    fn source() -> Arc<dyn Storage> {
        Arc::new(MemoryStorage::new(*b"0123456789"))
    }

    #[test]
    fn what_lies_between_pieces_is_zero() {
        let pieces = vec![
            Piece { start: 2, len: 3, source: 0, at: 5 },
            Piece { start: 5, len: 1, source: 0, at: 0 },
            Piece { start: 8, len: 1, source: 0, at: 9 },
        ];
        let whole = Pieces::sparse(source(), pieces.clone(), 10).unwrap();
        assert_eq!(whole.read_array::<10>(0).unwrap(), *b"\0\x005670\0\x009\0");
        assert_eq!(whole.read_array::<3>(4).unwrap(), *b"70\0");
        let segments: Vec<_> = [0, 2, 5, 6, 8, 9].map(|at| whole.segment(at).unwrap()).into();
        assert_eq!(
            segments.iter().map(|s| (s.hole, s.len.get())).collect::<Vec<_>>(),
            [(true, 2), (false, 3), (false, 1), (true, 2), (false, 1), (true, 1)]
        );
        assert!(whole.segment(10).is_err() && whole.read_array::<2>(9).is_err());
        assert!(Pieces::sparse(source(), pieces, 8).is_err());
        assert!(Pieces::sparse(source(), vec![Piece { start: 0, len: 2, source: 0, at: 9 }], 8).is_err());
        let back = vec![Piece { start: 1, len: 1, source: 0, at: 0 }, Piece { start: 0, len: 1, source: 0, at: 1 }];
        assert!(Pieces::sparse(source(), back, 8).is_err());
    }

    #[test]
    fn parts_follow_each_other() {
        let empty: Arc<dyn Storage> = Arc::new(MemoryStorage::new(*b""));
        let whole = Pieces::joined(vec![source(), empty, source()]).unwrap();
        assert_eq!(whole.read_array::<4>(8).unwrap(), *b"8901");
        assert_eq!(whole.len(), 20);
    }
}
