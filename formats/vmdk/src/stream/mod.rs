//! Reading a stream-optimised extent in one pass, as from a pipe.
//!
//! Grains are handed out as they come. What the extent says about itself behind them – tables, the directory, the
//! footer – is compared with what has been seen, so that in the end no less is known than of a file. Where directory
//! and tables come first, they say what to expect.

mod frame;
mod front;
mod input;
mod listed;
mod seen;

use std::io::Read;

use imgfmt_core::{Error, ImageStream, Limits, OpenContext, Result, StreamPart, Streamed};

use crate::NAME;
use crate::footer;
use crate::header::Header;
use crate::layout::{
    HEADER_LEN, MARKER_END_OF_STREAM, MARKER_FOOTER, MARKER_GRAIN_DIRECTORY, MARKER_GRAIN_TABLE, MARKER_SIZE_AT,
    MARKER_TYPE_AT, SECTOR_LEN, byte_of, le_u32, le_u32s, le_u64,
};
use frame::Frame;
use front::Front;
use input::Input;
use listed::{List, ListedStream};
use seen::Seen;

/// Begins to read what `input` brings.
pub(crate) fn open(input: Box<dyn Read + Send>, context: &OpenContext<'_>) -> Result<Streamed<Box<dyn ImageStream>>> {
    context.without_snapshots()?;
    let mut front = Front::new(input)?;
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
        let (input, at) = front.rest();
        return Ok(Streamed::OnePass(Box::new(GrainStream::new(Input::new(input, at), header, *limits, size))));
    }
    match List::read(&mut front, &header, limits)? {
        Ok(list) => {
            let input = Input::new(front.whole(), 0);
            Ok(Streamed::OnePass(Box::new(ListedStream { input, header, size, list })))
        }
        Err(reason) => Ok(front.needs_seek(reason)),
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
