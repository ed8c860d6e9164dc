//! The start of what may be a stream: header, descriptor, and tables that come early.

use std::io::{Cursor, Read};

use imgfmt_core::{Error, ImageStream, Limits, Result, Streamed};

use crate::directory::GrainDirectory;
use crate::header::{self, Header};
use crate::layout::{Flags, HEADER_LEN, MAGIC, byte_of};
use crate::open;
use crate::parent;

/// What comes first, kept for the case that the rest has to be sought in.
pub(super) struct Front {
    /// What is still to come.
    input: Box<dyn Read + Send>,
    /// What has come.
    bytes: Vec<u8>,
}

/// Something, or why it takes a file.
pub(super) type OrReason<T> = std::result::Result<T, &'static str>;

impl Front {
    /// The start of `input`.
    pub(super) fn new(input: Box<dyn Read + Send>) -> Result<Self> {
        let mut front = Self { input, bytes: Vec::new() };
        front.read_to(HEADER_LEN)?;
        Ok(front)
    }

    /// Reads on until `len` bytes are there, or the input ends.
    fn read_to(&mut self, len: usize) -> Result<()> {
        let missing = len.saturating_sub(self.bytes.len()) as u64;
        let read = self.input.by_ref().take(missing).read_to_end(&mut self.bytes);
        read.map(drop).map_err(|e| Error::io("cannot read the stream", e).at(self.bytes.len() as u64))
    }

    /// The header, if it is that of a stream.
    pub(super) fn header(&self, limits: &Limits) -> Result<OrReason<Header>> {
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
    pub(super) fn size(&mut self, header: &Header, limits: &Limits) -> Result<OrReason<u64>> {
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

    /// What is still to come, and how many bytes have come.
    pub(super) fn rest(self) -> (Box<dyn Read + Send>, u64) {
        (self.input, self.bytes.len() as u64)
    }

    /// The `len` bytes from `sector` on, unless they end behind byte `most` or the end of the input.
    pub(super) fn block(&mut self, sector: u64, len: u64, most: u64) -> Result<Option<&[u8]>> {
        let start = byte_of(sector);
        let Some(end) = start.checked_add(len).filter(|&end| end <= most) else { return Ok(None) };
        let (Ok(start), Ok(end)) = (usize::try_from(start), usize::try_from(end)) else { return Ok(None) };
        self.read_to(end)?;
        Ok(self.bytes.get(start..end))
    }

    /// All of the input, what has come included.
    pub(super) fn whole(self) -> Box<dyn Read + Send> {
        Box::new(Cursor::new(self.bytes).chain(self.input))
    }

    /// The answer that this has to be sought in.
    pub(super) fn needs_seek(self, reason: &str) -> Streamed<Box<dyn ImageStream>> {
        Streamed::NeedsSeek { input: self.whole(), reason: reason.to_owned() }
    }
}
