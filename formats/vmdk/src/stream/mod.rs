//! Reading a stream-optimised extent in one pass, as from a pipe.
//!
//! Grains are handed out as they come. What the extent says about itself behind them – tables, the directory, the
//! footer – is compared with what has been seen, so that in the end no less is known than of a file. Where directory
//! and tables come first, they say what to expect.

mod frame;
mod input;
mod listed;
mod seen;

use std::io::{Cursor, Read};

use imgfmt_core::{Error, ImageStream, Limits, OpenContext, Result, StreamPart, Streamed};

use crate::NAME;
use crate::directory::GrainDirectory;
use crate::footer;
use crate::header::{self, Header};
use crate::layout::{
    Flags, HEADER_LEN, MAGIC, MARKER_END_OF_STREAM, MARKER_FOOTER, MARKER_GRAIN_DIRECTORY, MARKER_GRAIN_TABLE,
    MARKER_SIZE_AT, MARKER_TYPE_AT, SECTOR_LEN, byte_of, le_u32, le_u32s, le_u64,
};
use crate::open;
use crate::parent;
use frame::Frame;
use input::Input;
use listed::{List, ListedStream};
use seen::Seen;

/// Begins to read what `input` brings.
pub(crate) fn open(input: Box<dyn Read + Send>, context: &OpenContext<'_>) -> Result<Streamed<Box<dyn ImageStream>>> {
    context.without_snapshots()?;
    let mut front = Front { input, bytes: Vec::new() };
    front.read_to(HEADER_LEN)?;
    let limits = context.limits;
    let header = match front.header(limits)? {
        Ok(header) => header,
        Err(reason) => return Ok(front.needs_seek(reason)),
    };
    let size = match front.size(&header, limits)? {
        Ok(size) => size,
        Err(reason) => return Ok(front.needs_seek(reason)),
    };
    if header.has_footer() {
        let at = front.bytes.len() as u64;
        return Ok(Streamed::OnePass(Box::new(GrainStream::new(Input::new(front.input, at), header, *limits, size))));
    }
    match List::read(&mut front, &header, limits)? {
        Ok(list) => {
            let input = Input::new(front.whole(), 0);
            Ok(Streamed::OnePass(Box::new(ListedStream { input, header, size, list })))
        }
        Err(reason) => Ok(front.needs_seek(reason)),
    }
}

/// What comes first, kept for the case that the rest has to be sought in.
struct Front {
    /// What is still to come.
    input: Box<dyn Read + Send>,
    /// What has come.
    bytes: Vec<u8>,
}

/// Something, or why it takes a file.
type OrReason<T> = std::result::Result<T, &'static str>;

impl Front {
    /// Reads on until `len` bytes are there, or the input ends.
    fn read_to(&mut self, len: usize) -> Result<()> {
        let missing = len.saturating_sub(self.bytes.len()) as u64;
        let read = self.input.by_ref().take(missing).read_to_end(&mut self.bytes);
        read.map(drop).map_err(|e| Error::io("cannot read the stream", e).at(self.bytes.len() as u64))
    }

    /// The header, if it is that of a stream.
    fn header(&self, limits: &Limits) -> Result<OrReason<Header>> {
        if !self.bytes.starts_with(&MAGIC) {
            let reason = match header::recognise(&self.bytes) {
                Some(_) => "extents of ESX have their tables anywhere",
                None => "a descriptor names other files",
            };
            return Ok(Err(reason));
        }
        let Some(sector) = self.bytes.first_chunk::<HEADER_LEN>() else {
            return Ok(Err("the header is cut short"));
        };
        let header = Header::parse(sector, limits)?;
        GrainDirectory::check_len(&header, limits)?;
        Ok(if !header.flags.has(Flags::COMPRESSED) || !header.flags.has(Flags::MARKERS) {
            Err("only a stream-optimised VMDK has its grains in a stream")
        } else {
            Ok(header)
        })
    }

    /// Guest bytes of the disk, as the header and the descriptor say together.
    fn size(&mut self, header: &Header, limits: &Limits) -> Result<OrReason<u64>> {
        if header.descriptor_offset == 0 {
            return Ok(Ok(byte_of(header.capacity)));
        }
        if byte_of(header.descriptor_offset) > limits.descriptor_bytes {
            return Ok(Err("its descriptor is not in front"));
        }
        open::check_descriptor_size(header, limits)?;
        let (start, end) = (byte_of(header.descriptor_offset), header.descriptor_offset + header.descriptor_size);
        let (start, end) = (usize::try_from(start).unwrap_or(usize::MAX), usize::try_from(byte_of(end)));
        self.read_to(end.unwrap_or(usize::MAX))?;
        let text = end.ok().and_then(|end| self.bytes.get(start..end)).ok_or_else(|| {
            let what = format!("the stream ends at byte {}, within its descriptor", self.bytes.len());
            Error::out_of_bounds(what).at(start as u64)
        })?;
        let descriptor = open::parse_embedded(text, start as u64, limits)?;
        if parent::of(&descriptor)?.is_some() {
            return Ok(Err("it builds on another image"));
        }
        let sectors = open::embedded_sectors(&descriptor)?.unwrap_or(header.capacity);
        header.true_size(sectors).map(Ok)
    }

    /// The `len` bytes from `sector` on, unless they end behind byte `most` or the end of the input.
    fn block(&mut self, sector: u64, len: u64, most: u64) -> Result<Option<&[u8]>> {
        let start = byte_of(sector);
        let Some(end) = start.checked_add(len).filter(|&end| end <= most) else { return Ok(None) };
        let (Ok(start), Ok(end)) = (usize::try_from(start), usize::try_from(end)) else { return Ok(None) };
        self.read_to(end)?;
        Ok(self.bytes.get(start..end))
    }

    /// All of the input, what has come included.
    fn whole(self) -> Box<dyn Read + Send> {
        Box::new(Cursor::new(self.bytes).chain(self.input))
    }

    /// The answer that this has to be sought in.
    fn needs_seek(self, reason: &str) -> Streamed<Box<dyn ImageStream>> {
        Streamed::NeedsSeek { input: self.whole(), reason: reason.to_owned() }
    }
}

/// A stream of grains.
struct GrainStream {
    /// What is still to come, from behind the descriptor on.
    input: Input,
    /// The header.
    header: Header,
    /// What the stream may ask for.
    limits: Limits,
    /// Guest bytes of the disk.
    size: u64,
    /// Grains and tables that have been seen.
    seen: Seen,
    /// The sector of the directory, once it has been seen.
    directory: Option<u64>,
    /// Whether the footer has been seen, and so all that counts.
    ended: bool,
}

impl ImageStream for GrainStream {
    fn size(&self) -> Option<u64> {
        Some(self.size)
    }

    fn unit(&self) -> u64 {
        self.header.grain_len()
    }

    fn next_part(&mut self, bytes: &mut Vec<u8>, _max: u64) -> Result<Option<StreamPart>> {
        while !self.ended {
            let at = self.input.sector();
            let sector = self.input.read_sector()?;
            let part = self.take(&sector, at, bytes).map_err(|e| e.in_format(NAME))?;
            if part.is_some() {
                return Ok(part);
            }
        }
        self.input.expect_end().map(|()| None)
    }
}

impl GrainStream {
    /// A stream from behind the descriptor on.
    fn new(input: Input, header: Header, limits: Limits, size: u64) -> Self {
        Self { input, header, limits, size, seen: Seen::new(&header), directory: None, ended: false }
    }

    /// Takes what begins with the marker in `sector`, which is sector `at`; a grain is handed out.
    fn take(&mut self, sector: &[u8; HEADER_LEN], at: u64, bytes: &mut Vec<u8>) -> Result<Option<StreamPart>> {
        let val = le_u64::<0, HEADER_LEN>(sector);
        let size = le_u32::<MARKER_SIZE_AT, HEADER_LEN>(sector);
        let kind = le_u32::<MARKER_TYPE_AT, HEADER_LEN>(sector);
        if size != 0 {
            return self.take_grain(sector, at, bytes).map(Some);
        }
        match kind {
            // Before the footer, a sector of zeros is padding.
            MARKER_END_OF_STREAM if sector.iter().all(|&byte| byte == 0) => Ok(()),
            MARKER_GRAIN_TABLE => self.take_table(val, at),
            MARKER_GRAIN_DIRECTORY => self.take_directory(val, at),
            MARKER_FOOTER => self.take_footer(at),
            _ => {
                let what = format!("is {kind}, which no marker of the format has");
                Err(Error::malformed(what).field("type").at(byte_of(at) + MARKER_TYPE_AT as u64))
            }
        }
        .map(|()| None)
    }

    /// Hands out the grain whose marker is in `sector`.
    fn take_grain(&mut self, sector: &[u8; HEADER_LEN], at: u64, bytes: &mut Vec<u8>) -> Result<StreamPart> {
        if self.directory.is_some() {
            return Err(Error::malformed("a grain comes behind the grain directory").at(byte_of(at)));
        }
        let frame = Frame::parse(sector, at, &self.header, self.size)?;
        self.seen.grain(frame.number, at, &self.limits)?;
        frame.read(sector, &mut self.input, bytes)
    }

    /// Compares a table of `sectors` behind the marker in sector `at` with the grains that have been seen.
    fn take_table(&mut self, sectors: u64, at: u64) -> Result<()> {
        let needed = self.header.table_len().div_ceil(SECTOR_LEN);
        self.check_val(sectors, needed, "grain table", at)?;
        let mut bytes = Vec::new();
        self.input.append(&mut bytes, byte_of(needed), "a grain table")?;
        let len = usize::try_from(self.header.table_len()).unwrap_or(usize::MAX);
        let entries = le_u32s(bytes.get(..len).unwrap_or(&bytes));
        self.seen.table(&entries, at + 1)
    }

    /// Compares the directory behind the marker in sector `at` with the tables that have been seen.
    fn take_directory(&mut self, sectors: u64, at: u64) -> Result<()> {
        let count = self.header.table_count();
        self.check_val(sectors, (count * self.header.entry_len()).div_ceil(SECTOR_LEN), "grain directory", at)?;
        if self.directory.is_some() {
            return Err(Error::malformed("is there twice").field("grain directory").at(byte_of(at)));
        }
        let mut next = 0;
        for _ in 0..sectors {
            let place = self.input.sector();
            let sector = self.input.read_sector()?;
            for (slot, &entry) in (0..).zip(&le_u32s(&sector)) {
                if next == count {
                    break;
                }
                let place = byte_of(place) + slot * self.header.entry_len();
                self.seen.directory_entry(next, entry, place)?;
                next += 1;
            }
        }
        self.directory = Some(at + 1);
        self.seen.check_placed(at)
    }

    /// Compares the footer behind the marker in sector `at` with the header and with what has been seen.
    fn take_footer(&mut self, at: u64) -> Result<()> {
        let place = byte_of(self.input.sector());
        let sector = self.input.read_sector()?;
        let placed = |e: Error| {
            let field_at = e.offset().unwrap_or(0);
            e.at(place.saturating_add(field_at))
        };
        let footer = Header::parse(&sector, &self.limits).map_err(placed)?;
        footer::check_agreement(&self.header, &footer, place)?;
        if self.directory != Some(footer.gd_offset) {
            let what = match self.directory {
                Some(seen) => format!("is {} in the footer, but the directory is at sector {seen}", footer.gd_offset),
                None => "has no directory to lead to: none has come before the footer".to_owned(),
            };
            return Err(Error::malformed(what).field("gdOffset").at(byte_of(at)));
        }
        self.ended = true;
        Ok(())
    }

    /// Checks what a marker says about the length of what follows.
    fn check_val(&self, found: u64, needed: u64, what: &'static str, at: u64) -> Result<()> {
        if found == needed {
            return Ok(());
        }
        let why = format!("of the marker is {found}, where the capacity makes it {needed} sectors");
        Err(Error::malformed(why).field(what).at(byte_of(at)))
    }
}
