//! One sparse extent: guest bytes in grains.

use std::ops::Range;
use std::sync::Arc;

use imgfmt_core::{Codec, Encoded, Error, ExtentKind, ExtentSink, Limits, Result, SourceId, Storage};

use crate::directory::GrainDirectory;
use crate::footer;
use crate::grain;
use crate::header::Header;
use crate::layout::{Flags, GRAIN_MARKER_LEN, SECTOR_LEN, ZEROED_ENTRY, byte_of};
use crate::tables::{GrainTable, TableCache};

/// A sparse extent. Its guest bytes are counted from its own start.
#[derive(Debug)]
pub(crate) struct SparseExtent {
    /// The file.
    storage: Arc<dyn Storage>,
    /// The file's number among the sources of the disk.
    source: SourceId,
    /// The header, or the footer where that places the directory.
    pub(crate) header: Header,
    /// Whether a footer places the directory.
    pub(crate) has_footer: bool,
    /// Where the tables are.
    pub(crate) directory: GrainDirectory,
    /// Guest bytes.
    size: u64,
    /// Host bytes that no grain may lie in: header, descriptor, directories.
    metadata: Vec<Range<u64>>,
}

/// How an extent lies in its disk.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    /// Its number, for the cache.
    pub(crate) number: usize,
    /// The guest byte of the disk at which it starts.
    pub(crate) start: u64,
    /// What its bytes are where it stores none.
    pub(crate) absent: ExtentKind,
    /// Tables in memory.
    pub(crate) cache: &'a TableCache,
}

/// A grain, as its table entry has it.
#[derive(Clone, Copy)]
struct Grain<'a> {
    /// Its table.
    table: &'a GrainTable,
    /// The host byte of the table.
    table_at: u64,
    /// Its number in the table.
    slot: usize,
    /// Its entry.
    entry: u64,
    /// Guest bytes of it that are within the extent.
    len: u64,
}

impl SparseExtent {
    /// Reads the header and what it places. The extent line, if there is one, is checked by
    /// [`with_line`](Self::with_line).
    pub(crate) fn open(storage: Arc<dyn Storage>, source: SourceId, limits: &Limits) -> Result<Self> {
        let mut header = Header::read_any(storage.as_ref(), limits)?;
        let has_footer = header.has_footer();
        if has_footer {
            header = footer::find(storage.as_ref(), &header, limits)?;
        }
        let directory = GrainDirectory::read(storage.as_ref(), &header, limits)?;
        let metadata = metadata_of(&header, directory.len(&header));
        let size = byte_of(header.capacity);
        Ok(Self { storage, source, header, has_footer, directory, size, metadata })
    }

    /// The extent with the size that its extent line has, in sectors.
    pub(crate) fn with_line(mut self, sectors: u64) -> Result<Self> {
        self.size = self.header.true_size(sectors)?;
        Ok(self)
    }

    /// Guest bytes.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// The number of its file among the sources of the disk.
    pub(crate) fn source(&self) -> SourceId {
        self.source
    }

    /// Answers for the guest bytes of `range`, from its start on, until `sink` has enough.
    pub(crate) fn map(&self, place: Place<'_>, range: Range<u64>, sink: &mut ExtentSink<'_>) -> Result<()> {
        let span = self.header.grain_len() * u64::from(self.header.gtes_per_gt);
        let end = range.end.min(self.size);
        let mut next = range.start;
        let mut known = Known::default();
        while next < end && !sink.is_full() {
            let index = next / span;
            let start = index * span;
            let stop = start.saturating_add(span).min(self.size);
            let table_at = self.directory.table(self.storage.as_ref(), &self.header, index)?;
            let table = table_at.map(|at| place.cache.get((place.number, index), || self.read_table(at, &mut known)));
            match (table.transpose()?, table_at) {
                (Some(table), Some(table_at)) if !table.entries.is_empty() => {
                    self.map_table(place, &table, table_at, start, next..end.min(stop), sink)?;
                }
                _ => sink.push(place.start + start, stop - start, place.absent),
            }
            next = stop;
        }
        Ok(())
    }

    /// Answers for `range` from one table, whose first grain starts at guest byte `start`.
    fn map_table(
        &self,
        place: Place<'_>,
        table: &GrainTable,
        table_at: u64,
        start: u64,
        range: Range<u64>,
        sink: &mut ExtentSink<'_>,
    ) -> Result<()> {
        let grain_len = self.header.grain_len();
        let first = (range.start - start) / grain_len;
        let mut at = start + first * grain_len;
        let first = usize::try_from(first).unwrap_or(usize::MAX);
        for (slot, &entry) in table.entries.iter().enumerate().skip(first) {
            if at >= range.end || sink.is_full() {
                break;
            }
            let len = grain_len.min(self.size - at);
            let kind = match entry {
                0 => place.absent,
                ZEROED if self.header.flags.has(Flags::ZEROED_GRAINS) => ExtentKind::Zero { explicit: true },
                // Of a grain that was cut with its file, what is left can be had.
                _ => self.stored(Grain { table, table_at, slot, entry, len: len.min(range.end - at) })?,
            };
            sink.push(place.start + at, len, kind);
            at += len;
        }
        Ok(())
    }

    /// What a grain is that its entry says is stored.
    fn stored(&self, grain: Grain<'_>) -> Result<ExtentKind> {
        let host = byte_of(grain.entry);
        let least = match (self.header.compressed, self.has_markers()) {
            (false, _) => grain.len,
            (true, true) => GRAIN_MARKER_LEN as u64,
            (true, false) => 1,
        };
        let end = host.saturating_add(least);
        if end > self.storage.len() || self.metadata.iter().any(|there| host < there.end && there.start < end) {
            return Err(self.misplaced(&grain, host, end));
        }
        if !self.header.compressed {
            return Ok(ExtentKind::Data { source: self.source, host });
        }
        let room = grain.table.room(grain.slot).map_or(u64::MAX, |sectors| byte_of(u64::from(sectors)));
        let most = room.min(grain::max_stored_len(self.header.grain_len())).min(self.storage.len() - host);
        Ok(ExtentKind::Encoded(Encoded {
            source: self.source,
            host,
            stored_len: u32::try_from(most).unwrap_or(u32::MAX),
            codec: Codec::Zlib,
            unit: u32::try_from(self.header.grain_len()).unwrap_or(u32::MAX),
            skip: 0,
        }))
    }

    /// The error for a grain that lies outside the file, or where it may not.
    fn misplaced(&self, grain: &Grain<'_>, host: u64, end: u64) -> Error {
        let file_len = self.storage.len();
        let error = if end > file_len {
            Error::out_of_bounds(format!(
                "entry puts a grain at bytes {host}..{end}, but the file ends at byte {file_len}"
            ))
        } else {
            Error::malformed(format!("entry puts a grain at bytes {host}..{end}, where metadata is"))
        };
        error.field("grain table").at(grain.table_at.saturating_add(grain.slot as u64 * self.header.entry_len()))
    }

    /// Finds the zlib stream in what is stored of the grain that starts at guest byte `start`.
    pub(crate) fn stored_body(&self, start: u64, unit: &Encoded, stored: &[u8]) -> Result<Range<usize>> {
        if !self.has_markers() {
            return Ok(0..stored.len());
        }
        grain::body(start / SECTOR_LEN, unit, stored, self.storage.len())
    }

    /// Whether compressed grains follow a marker.
    fn has_markers(&self) -> bool {
        self.header.flags.has(Flags::MARKERS)
    }

    /// Reads the table at host byte `at`; one in a hole of the file has no entries. `known` is what is known of holes.
    fn read_table(&self, at: u64, known: &mut Known) -> Result<GrainTable> {
        if !known.bytes.contains(&at) {
            let segment = self.storage.segment(at)?;
            *known = Known { bytes: at..at.saturating_add(segment.len.get()), hole: segment.hole };
        }
        if known.hole && at.saturating_add(self.header.table_len()) <= known.bytes.end {
            return Ok(GrainTable::default());
        }
        GrainTable::read(self.storage.as_ref(), at, &self.header)
    }
}

/// What is known of the holes of a file: thin disks have whole tables in them, which need not be read.
#[derive(Default)]
struct Known {
    /// Some bytes of it.
    bytes: Range<u64>,
    /// Whether they are a hole.
    hole: bool,
}

/// The host bytes of the header, the descriptor and the directories, which are `directory_len` bytes each.
fn metadata_of(header: &Header, directory_len: u64) -> Vec<Range<u64>> {
    let run = |sector: u64, len: u64| byte_of(sector)..byte_of(sector).saturating_add(len);
    let mut metadata = vec![run(0, header.len())];
    if header.descriptor_offset != 0 {
        metadata.push(run(header.descriptor_offset, byte_of(header.descriptor_size)));
    }
    let first = (header.gd_offset != 0).then_some(header.gd_offset);
    metadata.extend(first.into_iter().chain(header.redundant_directory()).map(|sector| run(sector, directory_len)));
    metadata
}

/// The entry for zeros, as entries are held.
const ZEROED: u64 = ZEROED_ENTRY as u64;
