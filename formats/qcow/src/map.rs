//! The disk: from guest bytes through L1 and L2 tables to extents.

use std::ops::Range;
use std::sync::Arc;

use imgfmt_core::{
    Codec, Description, Encoded, Error, ExtentKind, ExtentSink, Image, ParentName, Result, SourceId, Storage, read,
};

use crate::NAME;
use crate::entry::Entry;
use crate::header::Header;
use crate::info;
use crate::layout::L1_TABLE_OFFSET_AT;
use crate::tables::{Table, Tables};

/// A disk.
pub(crate) struct QcowImage {
    /// The file, as the one source.
    sources: [Arc<dyn Storage>; 1],
    /// What the header says.
    header: Header,
    /// The layer below.
    parent: Option<ParentName>,
    /// The L1 table.
    l1: Table,
    /// Pages of tables in memory.
    tables: Tables,
}

impl QcowImage {
    /// The disk in `storage`, which `header` describes and which builds on `parent`.
    ///
    /// # Errors
    ///
    /// [`OutOfBounds`](imgfmt_core::ErrorKind::OutOfBounds) where the file ends before the L1 table does.
    pub(crate) fn new(storage: Arc<dyn Storage>, header: Header, parent: Option<ParentName>) -> Result<Self> {
        let l1 = Table::new(header.l1_table_offset, header.l1_entries(), storage.len())
            .map_err(|e| e.field("l1_table_offset").at(L1_TABLE_OFFSET_AT as u64))?;
        Ok(Self { sources: [storage], header, parent, l1, tables: Tables::new() })
    }

    /// Answers for what `sink` asks.
    ///
    /// What cannot be read ends the answer; only who asks for it next is told why.
    fn map_range(&self, start: u64, sink: &mut ExtentSink<'_>) -> Result<()> {
        while !sink.is_full() {
            if let Err(error) = self.map_next(sink) {
                return if sink.rest().start > start { Ok(()) } else { Err(error) };
            }
        }
        Ok(())
    }

    /// Answers for a run of L1 entries without a table, or for a page of one L2 table.
    fn map_next(&self, sink: &mut ExtentSink<'_>) -> Result<()> {
        let span_bits = self.header.span_bits();
        let index = sink.rest().start >> span_bits;
        let (absent, l2) = self.tables.visit(self.file(), self.l1, index, |entries| {
            let absent = entries.iter().take_while(|&&entry| entry == 0).count() as u64;
            Ok((absent, entries.first().copied().unwrap_or_default()))
        })?;
        if absent > 0 {
            self.push(index << span_bits, absent << span_bits, self.absent(), sink);
            return Ok(());
        }
        let table = Table::new(l2, 1 << self.header.l2_bits, self.file().len())
            .map_err(|e| e.field("L2 table offset").at(self.l1.entry_at(index)))?;
        self.map_table(table, sink)
    }

    /// Answers for the clusters of one page of an L2 table.
    fn map_table(&self, table: Table, sink: &mut ExtentSink<'_>) -> Result<()> {
        let bits = self.header.cluster_bits;
        let first = sink.rest().start >> bits;
        let index = first & ((1 << self.header.l2_bits) - 1);
        self.tables.visit(self.file(), table, index, |entries| {
            for (nth, &raw) in (0..).zip(entries) {
                if sink.is_full() {
                    break;
                }
                let guest = (first + nth) << bits;
                let kind = Entry::decode(raw, bits).and_then(|entry| self.kind(entry, guest..sink.rest().end));
                self.push(guest, 1 << bits, kind.map_err(|e| e.at(table.entry_at(index + nth)))?, sink);
            }
            Ok(())
        })
    }

    /// Pushes `len` bytes alike, or as many of them as the disk has.
    fn push(&self, guest: u64, len: u64, kind: ExtentKind, sink: &mut ExtentSink<'_>) {
        sink.push(guest, len.min(self.header.size.saturating_sub(guest)), kind);
    }

    /// What the cluster is with which `wanted` begins.
    fn kind(&self, entry: Entry, wanted: Range<u64>) -> Result<ExtentKind> {
        let source = SourceId(0);
        match entry {
            Entry::Absent => Ok(self.absent()),
            Entry::Data(host) => {
                // The file may end where the disk does, within the last cluster. Of one that was cut with its file, what is left
                // can be had.
                let len = wanted.end.min(self.header.size) - wanted.start;
                self.check_there(host, self.header.cluster_len().min(len))?;
                Ok(if self.header.encrypted { ExtentKind::Opaque } else { ExtentKind::Data { source, host } })
            }
            Entry::Compressed { host, stored_len } => {
                self.check_there(host, u64::from(stored_len))?;
                let unit = 1 << self.header.cluster_bits;
                Ok(ExtentKind::Encoded(Encoded { source, host, stored_len, codec: Codec::Deflate, unit, skip: 0 }))
            }
        }
    }

    /// Checks that the file has `len` bytes from `host` on.
    fn check_there(&self, host: u64, len: u64) -> Result<()> {
        let (end, there) = (host.saturating_add(len), self.file().len());
        if end <= there {
            return Ok(());
        }
        let what = format!("an L2 entry names a cluster at byte {host} up to {end}, but the file ends at byte {there}");
        Err(Error::out_of_bounds(what))
    }

    /// What a cluster is that is not stored.
    fn absent(&self) -> ExtentKind {
        match self.parent {
            Some(_) => ExtentKind::Parent,
            None => ExtentKind::Zero { explicit: false },
        }
    }

    /// The file.
    fn file(&self) -> &dyn Storage {
        self.sources[0].as_ref()
    }
}

impl Image for QcowImage {
    fn size(&self) -> u64 {
        self.header.size
    }

    fn sources(&self) -> &[Arc<dyn Storage>] {
        &self.sources
    }

    fn map(&self, range: Range<u64>, sink: &mut ExtentSink<'_>) -> Result<()> {
        self.map_range(range.start, sink).map_err(|e| e.in_format(NAME))
    }

    /// Nothing frames a compressed cluster.
    fn stored_body(&self, _unit_start: u64, _unit: &Encoded, stored: &[u8]) -> Result<Range<usize>> {
        Ok(0..stored.len())
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        read::through_map(self, buf, offset)
    }

    fn describe(&self) -> Description {
        info::describe(&self.header, self.parent.clone())
    }
}
