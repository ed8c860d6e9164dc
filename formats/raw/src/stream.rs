//! Raw bytes as they come out of a pipe.

use std::io::Read;

use imgfmt_core::{Error, ErrorKind, ImageStream, Limits, OpenContext, Result, StreamForm, StreamPart};

use crate::NAME;
use crate::open::Part;
use crate::split::Split;

/// A raw disk that arrives from its first byte to its last.
pub(crate) struct RawStream {
    /// Where it comes from.
    input: Box<dyn Read + Send>,
    /// Bytes to leave out before it starts.
    skip: u64,
    /// Its size, as the caller says or as the end has shown.
    size: Option<u64>,
    /// Guest bytes that have come.
    next: u64,
    /// Most guest bytes that may come.
    limit: u64,
    /// Whether the end has been seen and checked.
    ended: bool,
}

impl RawStream {
    /// The disk in `input`.
    pub(crate) fn new(input: Box<dyn Read + Send>, context: &OpenContext<'_>) -> Result<Self> {
        context.without_snapshots()?;
        if Split::of(context.options)? == Split::On {
            return Err(Error::invalid("split is on, but a pipe is no file that others could lie beside"));
        }
        let part = Part::of(context.options)?;
        let limit = context.limits.virtual_size;
        Limits::check("size", part.size.unwrap_or(0), limit)?;
        Ok(Self { input, skip: part.offset, size: part.size, next: 0, limit, ended: false })
    }

    /// Leaves out what lies before the disk.
    fn skip(&mut self) -> Result<()> {
        let mut scratch = vec![0; SKIP_LEN];
        while self.skip > 0 {
            let len = usize::try_from(self.skip).map_or(SKIP_LEN, |rest| rest.min(SKIP_LEN));
            match read_some(self.input.as_mut(), &mut scratch[..len])? {
                0 => {
                    let what = format!("the input ends {} bytes before the disk starts", self.skip);
                    return Err(Error::out_of_bounds(what).field("offset"));
                }
                read => self.skip -= read as u64,
            }
        }
        Ok(())
    }

    /// Checks the end, which has been reached.
    fn end(&mut self) -> Result<()> {
        self.ended = true;
        match *self.size.get_or_insert(self.next) {
            size if size == self.next => Ok(()),
            size => {
                let what = format!("is {size}, but the input ends after {} bytes of the disk", self.next);
                Err(Error::out_of_bounds(what).field("size"))
            }
        }
    }

    /// Checks that nothing follows a disk whose size was given.
    fn expect_end(&mut self) -> Result<()> {
        match read_some(self.input.as_mut(), &mut [0])? {
            0 => self.end(),
            _ => Err(Error::malformed(format!("is {}, but the input goes on", self.next)).field("size")),
        }
    }

    /// Fills `bytes` with up to `len` bytes, as many as there are.
    fn fill(&mut self, bytes: &mut Vec<u8>, len: usize) -> Result<usize> {
        let start = bytes.len();
        bytes.resize(start + len, 0);
        let mut filled = 0;
        while filled < len {
            match read_some(self.input.as_mut(), &mut bytes[start + filled..])? {
                0 => break,
                read => filled += read,
            }
        }
        bytes.truncate(start + filled);
        Ok(filled)
    }

    /// As [`ImageStream::next_part`].
    fn part(&mut self, bytes: &mut Vec<u8>, max: u64) -> Result<Option<StreamPart>> {
        if self.ended {
            return Ok(None);
        }
        self.skip()?;
        let left = self.size.map_or(u64::MAX, |size| size - self.next);
        if left == 0 {
            self.expect_end()?;
            return Ok(None);
        }
        let wanted = left.min(max.max(1)).min(PART_LEN as u64);
        let filled = self.fill(bytes, usize::try_from(wanted).unwrap_or(PART_LEN))? as u64;
        if filled == 0 {
            self.end()?;
            return Ok(None);
        }
        let start = self.next;
        self.next = start.saturating_add(filled);
        if self.next > self.limit {
            return Err(Error::new(ErrorKind::LimitExceeded, format!("the disk has more than {} bytes", self.limit)));
        }
        Ok(Some(StreamPart { start, len: filled, form: StreamForm::Plain }))
    }
}

impl ImageStream for RawStream {
    fn size(&self) -> Option<u64> {
        self.size
    }

    fn unit(&self) -> u64 {
        1
    }

    fn next_part(&mut self, bytes: &mut Vec<u8>, max: u64) -> Result<Option<StreamPart>> {
        self.part(bytes, max).map_err(|e| e.in_format(NAME))
    }
}

/// Reads what there is into `buf`; 0 at the end.
fn read_some(input: &mut dyn Read, buf: &mut [u8]) -> Result<usize> {
    loop {
        match input.read(buf) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            result => return result.map_err(Error::from_read),
        }
    }
}

/// Bytes handed out at once at most.
const PART_LEN: usize = 1 << 20;
/// Bytes left out at once.
const SKIP_LEN: usize = 64 << 10;
