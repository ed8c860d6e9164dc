//! The disk: from guest bytes to where they are.

use std::ops::Range;
use std::sync::Arc;

use imgfmt_core::{Description, Encoded, Error, ExtentKind, ExtentSink, Image, Result, SourceId, Storage, read};

use crate::NAME;
use crate::header::{Header, ImageType};
use crate::info;
use crate::layout::{FREE, ZERO};
use crate::table::BlockMap;

/// A disk.
pub(crate) struct VdiImage {
    /// The file, as the one source.
    pub(crate) sources: [Arc<dyn Storage>; 1],
    /// What the header says.
    pub(crate) header: Header,
    /// Where the blocks are.
    pub(crate) blocks: BlockMap,
}

impl VdiImage {
    /// Answers for what `sink` asks.
    ///
    /// What cannot be read ends the answer; only who asks for it next is told why.
    fn map_range(&self, start: u64, sink: &mut ExtentSink<'_>) -> Result<()> {
        while !sink.is_full() {
            if let Err(error) = self.map_page(sink) {
                return if sink.rest().start > start { Ok(()) } else { Err(error) };
            }
        }
        Ok(())
    }

    /// Answers for what one page of the map tells.
    fn map_page(&self, sink: &mut ExtentSink<'_>) -> Result<()> {
        let first = sink.rest().start / self.header.block_len;
        let (page, skip) = self.blocks.entries(self.sources[0].as_ref(), first)?;
        let (mut entries, mut index) = (page.get(skip..).unwrap_or_default(), first);
        while let [entry, ..] = *entries
            && !sink.is_full()
        {
            let alike = entries.iter().take_while(|&&other| entry >= ZERO && other == entry).count().max(1);
            let start = index * self.header.block_len;
            let len = (alike as u64 * self.header.block_len).min(self.header.disk_size - start);
            // Of a block that was cut with its file, what is left can be had.
            let wanted = len.min(sink.rest().end - start);
            sink.push(start, len, self.kind(index, entry, wanted)?);
            entries = &entries[alike..];
            index += alike as u64;
        }
        Ok(())
    }

    /// What block `index` is, which has this entry and of which `len` bytes are wanted.
    fn kind(&self, index: u64, entry: u32, len: u64) -> Result<ExtentKind> {
        match entry {
            FREE if self.header.kind == ImageType::Differencing => Ok(ExtentKind::Parent),
            FREE => Ok(ExtentKind::Zero { explicit: false }),
            ZERO => Ok(ExtentKind::Zero { explicit: true }),
            number => {
                let host = self.header.block_at(u64::from(number)).saturating_add(self.header.block_extra);
                self.check_stored(index, host.saturating_add(len))?;
                Ok(ExtentKind::Data { source: SourceId(0), host })
            }
        }
    }

    /// Checks that what is stored of block `index` up to `end` is in the file.
    fn check_stored(&self, index: u64, end: u64) -> Result<()> {
        let there = self.sources[0].len();
        if end <= there {
            return Ok(());
        }
        let what = format!("block {index} of the disk is stored up to byte {end}, but the file ends at byte {there}");
        Err(Error::out_of_bounds(what).field("block map").at(self.blocks.entry_at(index)))
    }
}

impl Image for VdiImage {
    fn size(&self) -> u64 {
        self.header.disk_size
    }

    fn sources(&self) -> &[Arc<dyn Storage>] {
        &self.sources
    }

    fn map(&self, range: Range<u64>, sink: &mut ExtentSink<'_>) -> Result<()> {
        self.map_range(range.start, sink).map_err(|e| e.in_format(NAME))
    }

    fn stored_body(&self, _unit_start: u64, _unit: &Encoded, _stored: &[u8]) -> Result<Range<usize>> {
        Err(Error::malformed("a VDI has no compressed units").in_format(NAME))
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        read::through_map(self, buf, offset)
    }

    fn describe(&self) -> Description {
        info::describe(&self.header)
    }
}
