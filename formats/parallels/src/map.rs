//! The disk: from guest bytes to where they are.

use std::ops::Range;
use std::sync::Arc;

use imgfmt_core::{Description, Encoded, Error, ExtentKind, ExtentSink, Image, Result, SourceId, Storage, read};

use crate::NAME;
use crate::bat::Bat;
use crate::header::{Header, entry_at};
use crate::info;

/// A disk.
pub(crate) struct ParallelsImage {
    /// The file, as the one source.
    pub(crate) sources: [Arc<dyn Storage>; 1],
    /// What the header says.
    pub(crate) header: Header,
    /// Where the clusters are.
    pub(crate) bat: Bat,
}

impl ParallelsImage {
    /// Answers for what `sink` asks.
    ///
    /// What cannot be read ends the answer; only who asks for it next is told why.
    fn map_range(&self, start: u64, sink: &mut ExtentSink<'_>) -> Result<()> {
        let cluster_len = self.header.cluster_len();
        while !sink.is_full() {
            let index = sink.rest().start / cluster_len;
            let entries = self.bat.from(index);
            let Some(&entry) = entries.first() else { return Ok(()) };
            let alike = if entry == 0 { entries.iter().take_while(|entry| **entry == 0).count() } else { 1 };
            let at = index * cluster_len;
            let len = (alike as u64).saturating_mul(cluster_len).min(self.header.disk_size() - at);
            // Of a cluster that was cut with its file, what is left can be had.
            match self.kind(index, entry, len.min(sink.rest().end - at)) {
                Ok(kind) => sink.push(at, len, kind),
                Err(_) if sink.rest().start > start => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// What cluster `index` is, which has this entry and of which `len` bytes are wanted.
    fn kind(&self, index: u64, entry: u32, len: u64) -> Result<ExtentKind> {
        if entry == 0 {
            return Ok(ExtentKind::Zero { explicit: false });
        }
        let host = self.header.host(entry);
        let wrong = |e: Error| Err(e.field("BAT").at(entry_at(index)));
        if host < self.header.bat_end() {
            let what = format!("leads to byte {host}, but the BAT ends at byte {}", self.header.bat_end());
            return wrong(Error::malformed(what));
        }
        let (end, there) = (host.saturating_add(len), self.sources[0].len());
        if end > there {
            let what =
                format!("cluster {index} of the disk is stored up to byte {end}, but the file ends at byte {there}");
            return wrong(Error::out_of_bounds(what));
        }
        Ok(ExtentKind::Data { source: SourceId(0), host })
    }
}

impl Image for ParallelsImage {
    fn size(&self) -> u64 {
        self.header.disk_size()
    }

    fn sources(&self) -> &[Arc<dyn Storage>] {
        &self.sources
    }

    fn map(&self, range: Range<u64>, sink: &mut ExtentSink<'_>) -> Result<()> {
        self.map_range(range.start, sink).map_err(|e| e.in_format(NAME))
    }

    fn stored_body(&self, _unit_start: u64, _unit: &Encoded, _stored: &[u8]) -> Result<Range<usize>> {
        Err(Error::malformed("a Parallels image has no compressed units").in_format(NAME))
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        read::through_map(self, buf, offset)
    }

    fn describe(&self) -> Description {
        info::describe(&self.header)
    }
}
