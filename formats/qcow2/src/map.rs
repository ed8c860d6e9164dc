//! The map: from guest ranges through L1 and L2 tables to extents.

use std::ops::Range;

use imgfmt_core::{Encoded, Error, ExtentKind, ExtentSink, Result, SourceId, Storage};

use crate::data_file::DataPlace;
use crate::entry::Entry;
use crate::extended::{Extended, Parts};
use crate::image::Qcow2Image;
use crate::layout::{OFFSET_MASK, SUBCLUSTERS};
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
        let span_bits = self.header.l2.span_bits();
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
        let words = self.header.l2.words();
        match Table::new(offset, words, self.file().len()) {
            Err(_) if offset < self.file().len() && self.is_whole() => Ok(Table::padded(offset, words)),
            table => table.map_err(|e| e.field("L2 table offset")),
        }
    }

    /// Answers for the clusters of one page of an L2 table.
    fn map_table(&self, table: Table, sink: &mut ExtentSink<'_>) -> Result<()> {
        let (bits, word_bits) = (self.header.cluster.bits(), self.header.l2.entry_word_bits());
        let rest = sink.rest();
        let first = rest.start >> bits;
        let wanted = count_up_to(rest.end, bits) - first;
        let index = (first & (self.header.l2.entries() - 1)) << word_bits;
        let words = self.tables.entries(self.file(), table, index)?;
        let words = up_to(&words, wanted << word_bits);
        let mut done = 0;
        while done < words.len() && !sink.is_full() {
            let guest = (first + (done as u64 >> word_bits)) << bits;
            let at = |word: u64| table.entry_at(index + done as u64 + word);
            let clusters = match &words[done..] {
                [raw, bitmap, ..] if self.header.l2.extended() => {
                    let entry = Extended::decode(self.rules, self.header.cluster, [*raw, *bitmap])
                        .map_err(|blamed| blamed.error.at(at(blamed.word)))?;
                    self.push_extended(entry, guest, &words[done..], sink)
                }
                rest => {
                    let entry = self.rules.decode(rest[0]).map_err(|e| e.at(at(0)))?;
                    self.push_clusters(entry, guest, self.rules.run(entry, rest), sink)
                }
            };
            done += clusters.map_err(|e: Error| e.at(at(0)))? << word_bits;
        }
        Ok(())
    }

    /// Pushes the run of extended entries at the start of `words`, the first of which is `entry`; returns how many.
    fn push_extended(&self, entry: Extended, guest: u64, words: &[u64], sink: &mut ExtentSink<'_>) -> Result<usize> {
        match entry {
            Extended::Whole(whole) => {
                let count = entry.run(self.rules, self.header.cluster, words);
                self.push_clusters(whole, guest, count, sink)
            }
            Extended::Parts(parts) => self.push_parts(parts, guest, sink).map(|()| 1),
        }
    }

    /// Pushes `count` clusters alike from guest byte `guest` on, or what the file has of them; returns how many.
    fn push_clusters(&self, entry: Entry, guest: u64, count: usize, sink: &mut ExtentSink<'_>) -> Result<usize> {
        let bits = self.header.cluster.bits();
        let len = self.push_run(entry, guest, (count as u64) << bits, bits, sink)?;
        Ok(usize::try_from(len >> bits).unwrap_or(count))
    }

    /// Pushes the subclusters of the cluster at guest byte `guest`, from the one that is asked for on.
    fn push_parts(&self, parts: Parts, guest: u64, sink: &mut ExtentSink<'_>) -> Result<()> {
        let bits = self.header.l2.grain_bits();
        let mut index = u32::try_from((sink.rest().start.max(guest) - guest) >> bits).unwrap_or(SUBCLUSTERS);
        while index < SUBCLUSTERS && !sink.is_full() {
            let (entry, count) = parts.run(index);
            let pushed =
                self.push_run(entry, guest + (u64::from(index) << bits), u64::from(count) << bits, bits, sink)?;
            index += u32::try_from(pushed >> bits).unwrap_or(SUBCLUSTERS);
        }
        Ok(())
    }

    /// Pushes a run of `len` bytes alike from guest byte `guest` on, or what the file has of it in whole grains of
    /// `1 << grain_bits` bytes; returns its length.
    fn push_run(&self, entry: Entry, guest: u64, len: u64, grain_bits: u32, sink: &mut ExtentSink<'_>) -> Result<u64> {
        let (len, kind) = match entry {
            Entry::Unallocated => (len, self.absent()),
            Entry::Zero => (len, ExtentKind::Zero { explicit: true }),
            Entry::Data(host) => self.data(host, guest..sink.rest().end, len, grain_bits)?,
            Entry::Compressed { host, stored_len } => {
                self.check_begins(host)?;
                let unit = Encoded {
                    source: SourceId(0),
                    host,
                    stored_len,
                    codec: self.header.codec,
                    unit: 1 << self.header.cluster.bits(),
                    skip: 0,
                };
                (self.header.cluster.len(), ExtentKind::Encoded(unit))
            }
        };
        sink.push(guest, len, kind);
        Ok(len)
    }

    /// How much of `len` bytes of guest data from host byte `host` on there is, and what it is. `wanted` begins with them, and
    /// ends where nothing more is asked for.
    fn data(&self, host: u64, wanted: Range<u64>, len: u64, grain_bits: u32) -> Result<(u64, ExtentKind)> {
        let guest = wanted.start;
        if self.data != DataPlace::Inside && host != guest {
            let what = format!(
                "an L2 entry names byte {host} of the data file for guest byte {guest}; they have to be the same"
            );
            return Err(Error::malformed(what));
        }
        let Some(source) = self.data.source() else {
            return Ok((len, ExtentKind::Opaque));
        };
        let there = self.sources.get(source.0 as usize).map_or(0, |source| source.len());
        let len = self.stored(host, wanted, len, grain_bits, there)?;
        Ok((len, ExtentKind::Data { source, host }))
    }

    /// How many of `len` bytes from host byte `host` on a file of `end` bytes has, in whole grains; the last one only
    /// has to be there up to the end of the disk, and of what is `wanted`.
    fn stored(&self, host: u64, wanted: Range<u64>, len: u64, grain_bits: u32, end: u64) -> Result<u64> {
        let there = end.saturating_sub(host);
        if len.min(self.size.min(wanted.end).saturating_sub(wanted.start)) <= there {
            return Ok(len);
        }
        match there >> grain_bits {
            0 => Err(Error::out_of_bounds(format!(
                "an L2 entry names a cluster at byte {host}, but the file ends at byte {end}"
            ))),
            whole => Ok(whole << grain_bits),
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
