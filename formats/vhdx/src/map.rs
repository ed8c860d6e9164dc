//! The map: from guest ranges through the block allocation table, and sector bitmaps, to extents.

use std::ops::Range;

use imgfmt_core::{Error, ExtentKind, ExtentSink, Result, SourceId, Storage};

use crate::bat::Entries;
use crate::bits::{BITMAP_STEP, Bits};
use crate::image::VhdxImage;
use crate::layout::{ALIGN, BAT_OFFSET_MASK, BAT_STATE_MASK, SECTOR_BITMAP_LEN, state};

/// What a payload block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Block {
    /// Nothing is said about it.
    Absent,
    /// It reads as zeros.
    Zero,
    /// All of it is stored from this host byte on.
    Full(u64),
    /// Some of its sectors are stored from this host byte on; a bitmap says which.
    Partial(u64),
}

impl Block {
    /// What `entry` says. The offset of a block that is not stored means nothing, nor do the bits between.
    ///
    /// What was never written, or discarded, is not the parent's: it reads as zeros.
    ///
    /// # Errors
    ///
    /// [`Malformed`](imgfmt_core::ErrorKind::Malformed) for a state that means nothing.
    pub(crate) fn decode(entry: u64) -> Result<Self> {
        match entry & BAT_STATE_MASK {
            state::NOT_PRESENT => Ok(Self::Absent),
            state::UNDEFINED | state::ZERO | state::UNMAPPED | state::UNMAPPED_V095 => Ok(Self::Zero),
            state::FULLY_PRESENT => Ok(Self::Full(entry & BAT_OFFSET_MASK)),
            state::PARTIALLY_PRESENT => Ok(Self::Partial(entry & BAT_OFFSET_MASK)),
            other => Err(Error::malformed(format!("is {other}, which means nothing")).field("State")),
        }
    }
}

impl VhdxImage {
    /// Answers for what `sink` asks, which begins at guest byte `start`.
    ///
    /// What cannot be read ends the answer; only who asks for it next is told why.
    ///
    /// # Errors
    ///
    /// As [`Image::map`](imgfmt_core::Image::map).
    pub(crate) fn map_range(&self, start: u64, sink: &mut ExtentSink<'_>) -> Result<()> {
        while !sink.is_full() {
            if let Err(error) = self.map_next(sink) {
                return if sink.rest().start > start { Ok(()) } else { Err(error) };
            }
        }
        Ok(())
    }

    /// Answers for a run of blocks whose entries lie together.
    fn map_next(&self, sink: &mut ExtentSink<'_>) -> Result<()> {
        let geometry = &self.geometry;
        let rest = sink.rest();
        let block = rest.start / geometry.block_len;
        let index = geometry.payload_index(block);
        match self.bat.from(self.file(), index)? {
            Entries::Hole(entries) => {
                let blocks = geometry.blocks_before(index + entries) - block;
                sink.push(block * geometry.block_len, blocks * geometry.block_len, self.absent());
                Ok(())
            }
            Entries::Stored { page, skip } => {
                let in_chunk = geometry.chunk_blocks() - block % geometry.chunk_blocks();
                let wanted = rest.end.div_ceil(geometry.block_len) - block;
                let count = usize::try_from(in_chunk.min(wanted)).unwrap_or(usize::MAX);
                let entries = &page[skip..];
                self.map_entries(block, &entries[..count.min(entries.len())], sink)
            }
        }
    }

    /// Answers for the blocks from `first` on, of one chunk, whose entries these are.
    fn map_entries(&self, first: u64, entries: &[u64], sink: &mut ExtentSink<'_>) -> Result<()> {
        let mut done = 0;
        while done < entries.len() && !sink.is_full() {
            let block = first + done as u64;
            let entry = entries[done];
            let alike = entries[done..].iter().take_while(|&&other| other == entry).count();
            done += self.push_blocks(block, entry, alike, sink).map_err(|e| self.in_entry(e, block))?;
        }
        Ok(())
    }

    /// Pushes the block that has `entry`, and the blocks behind it, `alike` in all, where they are not stored.
    /// Returns how many it was.
    fn push_blocks(&self, block: u64, entry: u64, alike: usize, sink: &mut ExtentSink<'_>) -> Result<usize> {
        let len = self.geometry.block_len;
        let start = block * len;
        let idle = match Block::decode(entry)? {
            Block::Absent => self.absent(),
            Block::Zero => ExtentKind::Zero { explicit: true },
            Block::Full(host) => {
                self.check_payload(start..sink.rest().end, host)?;
                sink.push(start, len, ExtentKind::Data { source: SourceId(0), host });
                return Ok(1);
            }
            Block::Partial(_) if !self.geometry.differencing => {
                let what = format!("is {}, partially present, but the image has no parent", state::PARTIALLY_PRESENT);
                return Err(Error::malformed(what).field("State"));
            }
            Block::Partial(host) => {
                self.check_payload(start..sink.rest().end, host)?;
                self.push_partial(block, host, sink)?;
                return Ok(1);
            }
        };
        sink.push(start, alike as u64 * len, idle);
        Ok(alike)
    }

    /// Pushes the sectors of a block that is partly stored from `host` on.
    fn push_partial(&self, block: u64, host: u64, sink: &mut ExtentSink<'_>) -> Result<()> {
        let geometry = &self.geometry;
        let bitmap = self.bitmap_of(block / geometry.chunk_blocks())?;
        let base = block % geometry.chunk_blocks() * geometry.block_sectors();
        let start = block * geometry.block_len;
        let end = (start + geometry.block_len).min(sink.rest().end);
        while sink.rest().start < end && !sink.is_full() {
            let first = (sink.rest().start - start) / geometry.sector_len;
            let wanted = (end - start).div_ceil(geometry.sector_len) - first;
            let mut bits = [0; BITMAP_STEP];
            let read = Bits::read(&mut bits, self.file(), bitmap, base + first, wanted)?;
            for (stored, run) in read.runs() {
                if sink.is_full() {
                    break;
                }
                let at = (first + run.start) * geometry.sector_len;
                let kind = match stored {
                    true => ExtentKind::Data { source: SourceId(0), host: host + at },
                    false => ExtentKind::Parent,
                };
                sink.push(start + at, (run.end - run.start) * geometry.sector_len, kind);
            }
        }
        Ok(())
    }

    /// Host byte of the sector bitmap of `chunk`.
    fn bitmap_of(&self, chunk: u64) -> Result<u64> {
        let index = self.geometry.bitmap_index(chunk);
        let entry = self.bat.entry(self.file(), index)?;
        let host = entry & BAT_OFFSET_MASK;
        let told = |e: Error| e.at(self.bat.entry_at(index));
        if entry & BAT_STATE_MASK != state::FULLY_PRESENT {
            let what = format!("is {} for a sector bitmap that a block needs", entry & BAT_STATE_MASK);
            return Err(told(Error::malformed(what).field("State")));
        }
        self.check_stored("sector bitmap", host, SECTOR_BITMAP_LEN).map_err(told)?;
        Ok(host)
    }

    /// Checks that the block with which `wanted` begins may lie at `host`. It has to be in the file as far as the disk goes, for
    /// some programs leave off the rest, and as far as it is wanted: of one that was cut with its file, what is left can be had.
    fn check_payload(&self, wanted: Range<u64>, host: u64) -> Result<()> {
        let len = wanted.end.min(self.geometry.size) - wanted.start;
        self.check_stored("block", host, self.geometry.block_len.min(len))
    }

    /// Checks that `len` bytes from `host` on are in the file, and of nothing else.
    fn check_stored(&self, what: &str, host: u64, len: u64) -> Result<()> {
        let end = host.saturating_add(len);
        if let Some(taken) = self.regions.taken_within(host..end) {
            let what = format!("is {host} for a {what}, but bytes {taken:?} are headers, log, or tables");
            return Err(Error::malformed(what).field("FileOffsetMB"));
        }
        if end > self.file().len() {
            let file_len = self.file().len();
            let what = format!("is {host} for a {what} that ends at byte {end}, but the file ends at byte {file_len}");
            return Err(Error::out_of_bounds(what).field("FileOffsetMB"));
        }
        Ok(())
    }

    /// What a block that is not present is.
    fn absent(&self) -> ExtentKind {
        match self.geometry.differencing {
            true => ExtentKind::Parent,
            false => ExtentKind::Zero { explicit: false },
        }
    }

    /// An error about the entry of `block`, unless it is about another one already.
    fn in_entry(&self, error: Error, block: u64) -> Error {
        match error.offset() {
            Some(_) => error,
            None => error.at(self.bat.entry_at(self.geometry.payload_index(block))),
        }
    }

    /// The file.
    pub(crate) fn file(&self) -> &dyn Storage {
        self.sources[0].as_ref()
    }
}

/// Blocks and sector bitmaps are at whole MiB by the form of their entries.
const _: () = assert!(BAT_OFFSET_MASK & (ALIGN - 1) == 0);
