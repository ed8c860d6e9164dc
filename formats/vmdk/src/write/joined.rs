//! Files one behind the other, as one target.

use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use imgfmt_core::{Error, Result, Target};

/// Several files, each but the last of the same length, that hold the bytes of a disk.
#[derive(Debug)]
pub(super) struct Joined {
    /// The files.
    parts: Vec<Arc<dyn Target>>,
    /// Bytes of each but the last; not 0.
    part_len: u64,
    /// Bytes of all.
    len: u64,
}

impl Joined {
    /// Joins `parts`, which hold `len` bytes together.
    pub(super) fn new(parts: Vec<Arc<dyn Target>>, part_len: u64, len: u64) -> Self {
        Self { parts, part_len: part_len.max(1), len }
    }

    /// Calls `visit` for every file that has a part of `range`, with that part as the file counts.
    fn visit(&self, range: Range<u64>, mut visit: impl FnMut(&dyn Target, Range<u64>) -> Result<()>) -> Result<()> {
        let mut next = range.start;
        while next < range.end {
            let number = next / self.part_len;
            let start = number * self.part_len;
            let end = range.end.min(start.saturating_add(self.part_len));
            let part = usize::try_from(number).ok().and_then(|number| self.parts.get(number));
            let part = part.ok_or_else(|| Error::out_of_bounds("a piece lies beyond the end of the disk").at(next))?;
            visit(part.as_ref(), next - start..end - start)?;
            next = end;
        }
        Ok(())
    }
}

impl Target for Joined {
    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        let mut rest = bytes;
        self.visit(offset..offset.saturating_add(bytes.len() as u64), |part, range| {
            let len = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
            let (here, after) = rest.split_at(len.min(rest.len()));
            rest = after;
            part.write_at(here, range.start)
        })
    }

    fn set_len(&self, len: u64) -> Result<()> {
        if len == self.len {
            return Ok(());
        }
        Err(Error::unsupported(format!("the extents hold {} bytes together, not {len}", self.len)))
    }

    fn reserve(&self, range: Range<u64>) -> Result<()> {
        self.visit(range, |part, range| part.reserve(range))
    }

    fn clear(&self, range: Range<u64>) -> Result<()> {
        self.visit(range, |part, range| part.clear(range))
    }

    fn sync(&self) -> Result<()> {
        self.parts.iter().try_for_each(|part| part.sync())
    }

    fn as_file(&self) -> Option<BorrowedFd<'_>> {
        match self.parts.as_slice() {
            [only] => only.as_file(),
            _ => None,
        }
    }

    fn in_order(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use imgfmt_core::MemoryTarget;

    use super::*;

    #[test]
    fn bytes_go_to_the_files_that_they_lie_in() {
        let parts: Vec<_> = (0..3).map(|_| Arc::new(MemoryTarget::new())).collect();
        let targets = parts.iter().map(|part| Arc::clone(part) as Arc<dyn Target>).collect();
        let joined = Joined::new(targets, 4, 10);
        joined.write_at(b"abcdefgh", 2).unwrap();
        joined.clear(5..9).unwrap();
        assert_eq!(parts[0].to_vec(), b"\0\0ab");
        assert_eq!(parts[1].to_vec(), b"c\0\0\0");
        assert_eq!(parts[2].to_vec(), b"\0h");
        assert!(joined.write_at(b"xx", 11).is_err() && joined.set_len(9).is_err());
        assert!(joined.set_len(10).is_ok() && joined.as_file().is_none());
    }
}
