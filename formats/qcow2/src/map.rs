//! The map: from guest ranges through L1 and L2 tables to extents.

use imgfmt_core::{Encoded, Error, ExtentKind, ExtentSink, Result, SourceId, Storage};

use crate::entry::Entry;
use crate::image::Qcow2Image;
use crate::layout::OFFSET_MASK;
use crate::tables::Table;

impl Qcow2Image {
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

    /// Answers for a run of L1 entries without a table, or for a page of one L2 table.
    fn map_next(&self, sink: &mut ExtentSink<'_>) -> Result<()> {
        let span_bits = self.header.cluster.l2_span_bits();
        let rest = sink.rest();
        let index = rest.start >> span_bits;
        let wanted = count_up_to(rest.end, span_bits) - index;
        let entries = self.tables.entries(self.file(), self.l1, index)?;
        let absent = up_to(&entries, wanted).iter().take_while(|&&entry| entry & OFFSET_MASK == 0).count() as u64;
        if absent > 0 {
            sink.push(index << span_bits, absent << span_bits, self.absent());
            return Ok(());
        }
        let table = self.l2_table(entries[0] & OFFSET_MASK).map_err(|e| e.at(self.l1.entry_at(index)))?;
        self.map_table(table, sink)
    }

    /// The L2 table that an L1 entry says is at host byte `offset`.
    ///
    /// A file may leave off the end of its last table where that is zero. One that was cut looks alike, and
    /// is told apart by its refcounts.
    ///
    /// # Errors
    ///
    /// [`Malformed`](imgfmt_core::ErrorKind::Malformed) where it is not at a cluster border,
    /// [`OutOfBounds`](imgfmt_core::ErrorKind::OutOfBounds) where the file lacks some of it.
    pub(crate) fn l2_table(&self, offset: u64) -> Result<Table> {
        let cluster = self.header.cluster;
        if !cluster.aligns(offset) {
            let what = format!("is {offset}, which is no multiple of the cluster of {} bytes", cluster.len());
            return Err(Error::malformed(what).field("L2 table offset"));
        }
        match Table::new(offset, cluster.l2_entries(), self.file().len()) {
            Err(_) if offset < self.file().len() && self.is_whole() => Ok(Table::padded(offset, cluster.l2_entries())),
            table => table.map_err(|e| e.field("L2 table offset")),
        }
    }

    /// Answers for the clusters of one page of an L2 table.
    fn map_table(&self, table: Table, sink: &mut ExtentSink<'_>) -> Result<()> {
        let bits = self.header.cluster.bits();
        let rest = sink.rest();
        let first = rest.start >> bits;
        let wanted = count_up_to(rest.end, bits) - first;
        let index = first & (self.header.cluster.l2_entries() - 1);
        let entries = self.tables.entries(self.file(), table, index)?;
        let entries = up_to(&entries, wanted);
        let mut done = 0;
        while done < entries.len() && !sink.is_full() {
            let told = |e: Error| e.at(table.entry_at(index + done as u64));
            let guest = (first + done as u64) << bits;
            let entry = self.rules.decode(entries[done]).map_err(told)?;
            let run = self.rules.run(entry, &entries[done..]);
            done += self.push_run(entry, guest, run as u64, sink).map_err(told)? as usize;
        }
        Ok(())
    }

    /// Pushes a run of `clusters` alike from guest byte `guest` on, or what the file has of it; returns how many.
    fn push_run(&self, entry: Entry, guest: u64, clusters: u64, sink: &mut ExtentSink<'_>) -> Result<u64> {
        let cluster = self.header.cluster;
        let (clusters, kind) = match entry {
            Entry::Unallocated => (clusters, self.absent()),
            Entry::Zero => (clusters, ExtentKind::Zero { explicit: true }),
            Entry::Data(host) => {
                (self.stored_clusters(host, guest, clusters)?, ExtentKind::Data { source: SourceId(0), host })
            }
            Entry::Compressed { host, stored_len } => {
                self.check_begins(host)?;
                let unit = Encoded {
                    source: SourceId(0),
                    host,
                    stored_len,
                    codec: self.header.codec,
                    unit: 1 << cluster.bits(),
                    skip: 0,
                };
                (1, ExtentKind::Encoded(unit))
            }
        };
        sink.push(guest, clusters << cluster.bits(), kind);
        Ok(clusters)
    }

    /// How many of `clusters` from host byte `host` on the file has; the last one only has to be there up to
    /// the end of the disk.
    fn stored_clusters(&self, host: u64, guest: u64, clusters: u64) -> Result<u64> {
        let cluster = self.header.cluster;
        let wanted = (clusters << cluster.bits()).min(self.header.size - guest);
        let there = self.file().len().saturating_sub(host);
        if wanted <= there {
            return Ok(clusters);
        }
        match there >> cluster.bits() {
            0 => Err(Error::out_of_bounds(format!(
                "an L2 entry names a cluster at byte {host}, but the file ends at byte {}",
                self.file().len()
            ))),
            whole => Ok(whole),
        }
    }

    /// Checks that a compressed cluster begins within the file; where it ends, only its stream can tell.
    fn check_begins(&self, host: u64) -> Result<()> {
        let end = self.file().len();
        if host < end {
            return Ok(());
        }
        let what = format!("an L2 entry names a compressed cluster at byte {host}, but the file ends at byte {end}");
        Err(Error::out_of_bounds(what))
    }

    /// What an unallocated cluster is.
    fn absent(&self) -> ExtentKind {
        match self.parent {
            Some(_) => ExtentKind::Parent,
            None => ExtentKind::Zero { explicit: false },
        }
    }

    /// The file.
    pub(crate) fn file(&self) -> &dyn Storage {
        self.sources[0].as_ref()
    }
}

/// How many blocks of `1 << bits` bytes it takes to get to byte `end`.
fn count_up_to(end: u64, bits: u32) -> u64 {
    end.div_ceil(1 << bits)
}

/// At most the first `count` of `entries`.
fn up_to(entries: &[u64], count: u64) -> &[u64] {
    &entries[..usize::try_from(count).unwrap_or(usize::MAX).min(entries.len())]
}
