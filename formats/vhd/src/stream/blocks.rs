//! A dynamic disk whose blocks arrive in the order of the disk.

use imgfmt_core::{Error, ImageStream, Result, StreamForm, StreamPart};

use super::Plan;
use super::input::{Input, footer_in};
use crate::NAME;
use crate::bitmap::SectorBitmap;
use crate::layout::{SECTOR_LEN, UNUSED_ENTRY, bitmap_len};

/// A dynamic disk as it arrives.
pub(super) struct BlockStream {
    /// Where it comes from.
    input: Input,
    /// What was in front.
    plan: Plan,
    /// The block that comes next, or has begun.
    block: usize,
    /// The bitmap of a block that has begun, and where its data starts in the file.
    open: Option<(SectorBitmap, u64)>,
    /// The first byte of that block that is not settled.
    within: u64,
    /// Whether the end has been seen and checked.
    ended: bool,
}

impl Plan {
    /// Whether the blocks lie in the file as they do in the disk, from byte `from` on.
    pub(super) fn ascends(&self, from: u64) -> bool {
        let stride = bitmap_len(self.block_len) + self.block_len;
        let mut free = from;
        self.table.iter().filter(|&&entry| entry != UNUSED_ENTRY).all(|&entry| {
            let at = u64::from(entry) * SECTOR_LEN;
            let ascends = at >= free;
            free = at + stride;
            ascends
        })
    }
}

impl BlockStream {
    /// The disk of which `input` brings the blocks.
    pub(super) fn new(input: Input, plan: Plan) -> Self {
        Self { input, plan, block: 0, open: None, within: 0, ended: false }
    }

    /// Goes on to the next block that is there, and reads its bitmap; says whether there is one.
    fn open_next(&mut self) -> Result<bool> {
        let rest = self.plan.table.get(self.block..).unwrap_or_default();
        let Some(skipped) = rest.iter().position(|&entry| entry != UNUSED_ENTRY) else { return Ok(false) };
        let at = u64::from(rest[skipped]) * SECTOR_LEN;
        self.block += skipped;
        self.input.skip_to(at)?;
        let mut bytes = Vec::new();
        let len = bitmap_len(self.plan.block_len);
        self.input.fill_all(&mut bytes, usize::try_from(len).unwrap_or(usize::MAX))?;
        self.open = Some((SectorBitmap::of(bytes, self.plan.block_len), at + len));
        self.within = 0;
        Ok(true)
    }

    /// The next run of the open block that is stored: its place in the block, and its length, at most `max`.
    fn next_run(&mut self, max: u64) -> Option<(u64, u64)> {
        let (bitmap, _) = self.open.as_ref()?;
        let start = self.block as u64 * self.plan.block_len;
        let end = self.plan.block_len.min(self.plan.size.saturating_sub(start));
        while self.within < end {
            let (stored, run_end) = bitmap.run(self.within / SECTOR_LEN, end.div_ceil(SECTOR_LEN));
            let run_end = (run_end * SECTOR_LEN).min(end);
            let from = self.within;
            if stored {
                self.within = run_end.min(from.saturating_add(max.max(1)));
                return Some((from, self.within - from));
            }
            self.within = run_end;
        }
        None
    }

    /// Checks the footer at the end.
    fn end(&mut self) -> Result<()> {
        let last = self.input.last()?;
        let (footer, _) = footer_in(&last)?;
        if !footer.checksum_ok || !footer.agrees_with(&self.plan.footer) {
            return Err(Error::malformed("the footer at the end is damaged, or differs from the one in front"));
        }
        self.ended = true;
        Ok(())
    }

    /// As [`ImageStream::next_part`].
    fn part(&mut self, bytes: &mut Vec<u8>, max: u64) -> Result<Option<StreamPart>> {
        while !self.ended {
            if self.open.is_none() && !self.open_next()? {
                self.end()?;
                break;
            }
            let Some((from, len)) = self.next_run(max.min(PART_LEN)) else {
                self.open = None;
                self.block += 1;
                continue;
            };
            let data = self.open.as_ref().map_or(0, |(_, data)| *data);
            self.input.skip_to(data + from)?;
            self.input.fill_all(bytes, usize::try_from(len).unwrap_or(usize::MAX))?;
            let start = self.block as u64 * self.plan.block_len + from;
            return Ok(Some(StreamPart { start, len, form: StreamForm::Plain }));
        }
        Ok(None)
    }
}

impl ImageStream for BlockStream {
    fn size(&self) -> Option<u64> {
        Some(self.plan.size)
    }

    fn unit(&self) -> u64 {
        1
    }

    fn next_part(&mut self, bytes: &mut Vec<u8>, max: u64) -> Result<Option<StreamPart>> {
        self.part(bytes, max).map_err(|e| e.in_format(NAME))
    }
}

/// Bytes handed out at once at most.
const PART_LEN: u64 = 1 << 20;
