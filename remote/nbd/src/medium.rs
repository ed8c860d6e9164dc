//! An export is read and written as any storage is.

use std::num::NonZeroU64;
use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use imgfmt_core::storage::check_bounds;
use imgfmt_core::{Error, FileSlice, Result, Segment, Storage, Target, write_zeros};

use crate::export::{NbdExport, index, length, request};
use crate::wire::{CMD_FLUSH, CMD_RESIZE, CMD_WRITE_ZEROES, FLAG_SEND_FLUSH, FLAG_SEND_WRITE_ZEROES};

#[deny(clippy::missing_trait_methods)]
impl Storage for NbdExport {
    fn len(&self) -> u64 {
        self.len.load(Ordering::Acquire)
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        let range = check_bounds(self.len(), offset, buf.len())?;
        let len = buf.len();
        let failed = |e| Error::io(format!("cannot read {len} bytes"), e).at(offset);
        let blocks = self.blocks(&range);
        if blocks == range {
            return self.read_blocks(buf, &range).map_err(failed);
        }
        let mut whole = vec![0; index(&blocks, blocks.start).len()];
        self.read_blocks(&mut whole, &blocks).map_err(failed)?;
        buf.copy_from_slice(&whole[index(&range, blocks.start)]);
        Ok(())
    }

    fn segment(&self, offset: u64) -> Result<Segment> {
        let end = self.len();
        let Some(rest) = NonZeroU64::new(end.saturating_sub(offset)) else {
            return Err(Error::out_of_bounds(format!("the export ends at byte {end}")).at(offset));
        };
        if self.export.allocation.is_none() {
            return Ok(Segment { hole: false, len: rest });
        }
        let clipped = |segment: Segment| Segment { len: segment.len.min(rest), ..segment };
        if let Some(segment) = self.known().at(offset) {
            return Ok(clipped(segment));
        }
        let block = u64::from(self.export.min_block);
        let (first, last) = (offset / block * block, end / block * block);
        if first == last {
            // The export ends within this block, and no server has to tell of that.
            return Ok(Segment { hole: false, len: rest });
        }
        let asked = first..last.min(first.saturating_add(MAX_STATUS_LEN));
        let failed = |e| Error::io("cannot ask what is allocated", e).at(offset);
        let found = self.ask_status(asked).map_err(failed)?;
        // A server may tell of less than it was asked for; nothing is said of the rest of the block then.
        let segment = found.at(offset).unwrap_or(Segment { hole: false, len: NonZeroU64::MIN });
        *self.known() = found;
        Ok(clipped(segment))
    }

    fn as_file(&self) -> Option<FileSlice<'_>> {
        None
    }

    fn as_slice(&self) -> Option<&[u8]> {
        None
    }
}

#[deny(clippy::missing_trait_methods)]
impl Target for NbdExport {
    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        let range = offset..offset.saturating_add(bytes.len() as u64);
        self.begin_writing(&range)?;
        let failed = |e| Error::io(format!("cannot write {} bytes", bytes.len()), e).at(offset);
        let done = self.write_range(bytes, &range).map_err(failed);
        // Somebody may have asked meanwhile.
        self.known().forget();
        done
    }

    fn set_len(&self, len: u64) -> Result<()> {
        if self.is_resizable() {
            self.command(request(CMD_RESIZE, len, 0), &[])
                .map_err(|e| Error::io(format!("cannot make the export {len} bytes long"), e))?;
            self.known().forget();
            self.len.store(len, Ordering::Release);
            return Ok(());
        }
        let has = self.len();
        if len <= has {
            return Ok(());
        }
        let what = format!("the image takes {len} bytes, and the export has {has}, which cannot be changed");
        Err(Error::out_of_bounds(what))
    }

    fn reserve(&self, _range: Range<u64>) -> Result<()> {
        Ok(())
    }

    fn clear(&self, range: Range<u64>) -> Result<()> {
        // What lies beyond the end is zero already, and stays beyond it.
        let range = range.start..range.end.min(self.len());
        if range.is_empty() {
            return Ok(());
        }
        self.begin_writing(&range)?;
        let block = u64::from(self.export.min_block);
        let inner = range.start.next_multiple_of(block)..range.end / block * block;
        if !self.export.has(FLAG_SEND_WRITE_ZEROES) || inner.is_empty() {
            return write_zeros(self, range);
        }
        write_zeros(self, range.start..inner.start)?;
        let done = self.clear_blocks(&inner);
        // Somebody may have asked meanwhile.
        self.known().forget();
        done?;
        write_zeros(self, inner.end..range.end)
    }

    fn sync(&self) -> Result<()> {
        if !self.export.has(FLAG_SEND_FLUSH) {
            return Ok(());
        }
        self.command(request(CMD_FLUSH, 0, 0), &[]).map_err(|e| Error::io("cannot flush what was written", e))
    }

    fn as_file(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn in_order(&self) -> bool {
        false
    }

    fn kept_len(&self) -> Option<u64> {
        (!self.is_resizable()).then(|| self.len())
    }
}

impl NbdExport {
    /// Checks that `range` may be written, makes the export as long where that can be, and forgets what was known of zeros.
    fn begin_writing(&self, range: &Range<u64>) -> Result<()> {
        if !self.is_writable() {
            return Err(Error::refused("the server lets the export be read only"));
        }
        if range.end > self.len() && self.is_resizable() {
            // Of two threads that write behind the end, none makes the export shorter than the other needs it.
            let _alone = self.growing.lock().unwrap_or_else(PoisonError::into_inner);
            if range.end > self.len() {
                self.set_len(range.end)?;
            }
        }
        self.known().forget();
        let len = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
        check_bounds(self.len(), range.start, len).map(drop)
    }

    /// Has the server write zeros over `range`, whole blocks of it.
    fn clear_blocks(&self, range: &Range<u64>) -> Result<()> {
        let mut at = range.start;
        while at < range.end {
            let len = (range.end - at).min(MAX_ZEROES_LEN);
            length(len)
                .and_then(|short| self.command(request(CMD_WRITE_ZEROES, at, short), &[]))
                .map_err(|e| Error::io(format!("cannot write {len} zeros"), e).at(at))?;
            at += len;
        }
        Ok(())
    }
}

/// Bytes that one question about what is allocated covers at most, and one request for zeros: a multiple of every block,
/// and less than the protocol can say.
const MAX_STATUS_LEN: u64 = 1 << 31;
/// Zeros that one request writes at most.
const MAX_ZEROES_LEN: u64 = 1 << 30;
