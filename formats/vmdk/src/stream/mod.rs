//! Reading a stream-optimised extent in one pass, as from a pipe.
//!
//! Grains are handed out as they come. What the extent says about itself behind them – tables, the directory, the
//! footer – is compared with what has been seen, so that in the end no less is known than of a file.

mod input;
mod seen;

use std::io::{Cursor, Read};

use imgfmt_core::{Codec, Error, ImageStream, Limits, OpenContext, Result, StreamForm, StreamPart, Streamed};

use crate::NAME;
use crate::directory::GrainDirectory;
use crate::footer;
use crate::grain;
use crate::header::{self, Header};
use crate::layout::{
    Flags, GRAIN_MARKER_LEN, HEADER_LEN, MAGIC, MARKER_END_OF_STREAM, MARKER_FOOTER, MARKER_GRAIN_DIRECTORY,
    MARKER_GRAIN_TABLE, MARKER_SIZE_AT, MARKER_TYPE_AT, SECTOR_LEN, byte_of, le_u32, le_u32s, le_u64,
};
use crate::open;
use crate::parent;
use input::Input;
use seen::Seen;

/// Begins to read what `input` brings.
pub(crate) fn open(input: Box<dyn Read + Send>, context: &OpenContext<'_>) -> Result<Streamed<Box<dyn ImageStream>>> {
    context.without_snapshots()?;
    let mut front = Front { input, bytes: Vec::new() };
    front.read_to(HEADER_LEN)?;
    match front.header(context.limits)? {
        Err(reason) => Ok(front.needs_seek(reason)),
        Ok(header) => match front.size(&header, context.limits)? {
            Err(reason) => Ok(front.needs_seek(reason)),
            Ok(size) => {
                let at = front.bytes.len() as u64;
                let stream = GrainStream {
                    input: Input::new(front.input, at),
                    header,
                    limits: *context.limits,
                    size,
                    seen: Seen::new(&header),
                    directory: None,
                    ended: false,
                };
                Ok(Streamed::OnePass(Box::new(stream)))
            }
        },
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
        } else if !header.has_footer() {
            Err("its grain directory has a fixed place, and so its grains may be in any order")
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

    /// The answer that this has to be sought in.
    fn needs_seek(self, reason: &str) -> Streamed<Box<dyn ImageStream>> {
        let input = Box::new(Cursor::new(self.bytes).chain(self.input));
        Streamed::NeedsSeek { input, reason: reason.to_owned() }
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
    /// Takes what begins with the marker in `sector`, which is sector `at`; a grain is handed out.
    fn take(&mut self, sector: &[u8; HEADER_LEN], at: u64, bytes: &mut Vec<u8>) -> Result<Option<StreamPart>> {
        let val = le_u64::<0, HEADER_LEN>(sector);
        let size = le_u32::<MARKER_SIZE_AT, HEADER_LEN>(sector);
        let kind = le_u32::<MARKER_TYPE_AT, HEADER_LEN>(sector);
        if size != 0 {
            return self.take_grain(sector, val, size, at, bytes).map(Some);
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

    /// Hands out the grain that starts at guest sector `lba`.
    fn take_grain(
        &mut self,
        sector: &[u8; HEADER_LEN],
        lba: u64,
        size: u32,
        at: u64,
        bytes: &mut Vec<u8>,
    ) -> Result<StreamPart> {
        let start = byte_of(lba);
        let grain_len = self.header.grain_len();
        if !lba.is_multiple_of(self.header.grain_size) || start >= self.size || self.directory.is_some() {
            let what = format!("is {lba}, where no grain of the disk starts");
            return Err(Error::malformed(what).field("val").at(byte_of(at)));
        }
        let framed = u64::from(size) + GRAIN_MARKER_LEN as u64;
        if framed > grain::max_stored_len(grain_len) {
            let what = format!("is {size}, above {} for a grain of {grain_len} bytes", grain_len * 2);
            return Err(Error::malformed(what).field("size").at(byte_of(at) + MARKER_SIZE_AT as u64));
        }
        self.seen.grain(lba / self.header.grain_size, at, &self.limits)?;
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let first = bytes.len();
        let here = size.min(HEADER_LEN - GRAIN_MARKER_LEN);
        bytes.extend_from_slice(&sector[GRAIN_MARKER_LEN..GRAIN_MARKER_LEN + here]);
        let padded = framed.next_multiple_of(SECTOR_LEN) - SECTOR_LEN;
        self.input.append(bytes, padded, "a grain")?;
        bytes.truncate(first + size);
        Ok(StreamPart {
            start,
            len: grain_len.min(self.size - start),
            form: StreamForm::Encoded {
                codec: Codec::Zlib,
                unit: u32::try_from(grain_len).unwrap_or(u32::MAX),
                body: first..first + size,
            },
        })
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
