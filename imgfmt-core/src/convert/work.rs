//! One job: read, decode, find zeros, encode. Everything here runs in parallel and in no order.

use std::ops::Range;

use super::plan::{Cut, Job};
use super::zero::is_zero;
use crate::codec::{Decoder, Encoder, rewrap_margins};
use crate::extent::{Encoded, Extent, ExtentKind, SourceId};
use crate::image::Image;
use crate::read::{decode_unit, source_of, stored_len};
use crate::storage::Storage;
use crate::writer::{Form, Piece, Shape};
use crate::{Error, Result};

/// What all jobs of a conversion have in common.
#[derive(Clone, Copy)]
pub(super) struct Task<'a> {
    /// What is converted.
    pub(super) source: &'a dyn Image,
    /// What the writer is like.
    pub(super) shape: Shape,
    /// How jobs are cut.
    pub(super) cut: Cut,
    /// Whether zeros are looked for in what is read.
    pub(super) find_zeros: bool,
    /// Whether compressed units are passed on without a look into them.
    pub(super) trust_encoded: bool,
    /// Whether plain units are left to the kernel to copy.
    pub(super) copies: bool,
}

/// What a worker keeps from job to job.
pub(super) struct Worker<'a> {
    /// What it works on.
    task: Task<'a>,
    /// Decoding contexts.
    decoder: Decoder,
    /// The encoding context, where the writer compresses.
    encoder: Option<Encoder>,
    /// A unit of the source that does not fit where it belongs.
    scratch: Vec<u8>,
}

/// A job that has been worked on, with the bytes to store.
#[derive(Debug, Default)]
pub(super) struct Done {
    /// The job.
    pub(super) job: Job,
    /// What becomes of the job's range, in guest order.
    pub(super) pieces: Vec<(Piece, Bytes)>,
    /// The bytes.
    pub(super) buffers: Buffers,
}

/// Where the bytes of a piece are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Bytes {
    /// Nowhere: there are none to store.
    None,
    /// In the source, for the kernel to copy.
    Source {
        /// Where they are stored.
        source: SourceId,
        /// Their first host byte.
        host: u64,
    },
    /// In the plain buffer.
    Plain(Range<usize>),
    /// In the buffer of what was read, in the form in which it was read.
    Stored(Range<usize>),
    /// In the buffer of what was encoded.
    Encoded(Range<usize>),
}

/// The buffers of one job; they only grow, and are used again.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    /// Guest bytes of the job's range, padded to a whole unit where the writer asks for it.
    plain: Vec<u8>,
    /// Compressed units as they were read.
    stored: Vec<u8>,
    /// Compressed units as they will be stored.
    encoded: Vec<u8>,
}

impl Buffers {
    /// The bytes that `bytes` means.
    pub(super) fn slice(&self, bytes: &Bytes) -> &[u8] {
        match bytes {
            Bytes::None | Bytes::Source { .. } => &[],
            Bytes::Plain(range) => &self.plain[range.clone()],
            Bytes::Stored(range) => &self.stored[range.clone()],
            Bytes::Encoded(range) => &self.encoded[range.clone()],
        }
    }

    /// Memory that the buffers hold, in bytes.
    pub(super) fn held(&self) -> u64 {
        (self.plain.capacity() + self.stored.capacity() + self.encoded.capacity()) as u64
    }
}

impl<'a> Worker<'a> {
    /// A worker for one thread.
    pub(super) fn new(task: Task<'a>) -> Result<Self> {
        let encoder = task.shape.compression.as_ref().map(Encoder::new).transpose()?;
        Ok(Self { task, decoder: Decoder::default(), encoder, scratch: Vec::new() })
    }

    /// Works on `job`.
    pub(super) fn work(&mut self, job: Job, buffers: Buffers) -> Result<Done> {
        let mut done = Done { job, pieces: Vec::new(), buffers };
        let len = in_memory(done.job.range.end - done.job.range.start);
        let padded = if self.task.shape.pads_last { len.next_multiple_of(in_memory(self.task.cut.unit)) } else { len };
        grow(&mut done.buffers.plain, padded);
        done.buffers.plain[len..padded].fill(0);
        let passed = self.fill(&done.job, &mut done.buffers)?;
        self.cut_into_pieces(&mut done, padded, &passed)?;
        Ok(done)
    }

    /// Fills the plain buffer from the job's extents. Returns the compressed units that may be stored as
    /// they are: their first guest byte and their stream in the stored buffer.
    fn fill(&mut self, job: &Job, buffers: &mut Buffers) -> Result<Vec<(u64, Range<usize>)>> {
        let mut passed = Vec::new();
        let mut stored_used = 0;
        let mut rest = job.extents.as_slice();
        while let Some(extent) = rest.first() {
            let plain = in_memory(extent.start - job.range.start)..in_memory(extent.end() - job.range.start);
            let mut taken = 1;
            match extent.kind {
                ExtentKind::Encoded(_) => {
                    let run = EncodedRun::at_start_of(self.task.source, rest)?;
                    taken = run.count;
                    let stored = run.read(self.task.source, &mut buffers.stored, &mut stored_used)?;
                    self.decode_run(job, &rest[..taken], &run, stored, buffers, &mut passed)?;
                }
                ExtentKind::Data { source, host } => {
                    let source = source_of(self.task.source, source)?.as_ref();
                    self.read_data(extent, source, host, &mut buffers.plain[plain])?;
                }
                ExtentKind::Opaque => self.task.source.read_at(&mut buffers.plain[plain], extent.start)?,
                ExtentKind::Zero { .. } => self.fill_zero(extent, &mut buffers.plain[plain]),
                ExtentKind::Parent => {
                    return Err(Error::malformed(format!("guest byte {} is left to a parent", extent.start)));
                }
            }
            rest = &rest[taken..];
        }
        Ok(passed)
    }

    /// Writes the zeros of an extent that shares a unit with other bytes; whole zero units are never looked at.
    fn fill_zero(&self, extent: &Extent, plain: &mut [u8]) {
        let (head, tail) = self.split_units(extent);
        let len = plain.len();
        plain[..head].fill(0);
        plain[len - tail..].fill(0);
    }

    /// Reads an extent of plain data; only the ends that share a unit with others where the kernel copies the rest.
    fn read_data(&self, extent: &Extent, source: &dyn Storage, host: u64, plain: &mut [u8]) -> Result<()> {
        if !self.may_copy(extent) {
            return source.read_at(plain, host);
        }
        let (head, tail) = self.split_units(extent);
        source.read_at(&mut plain[..head], host)?;
        let at = plain.len() - tail;
        source.read_at(&mut plain[at..], host + at as u64)
    }

    /// How many bytes at the start and at the end of an extent lie in units that it does not fill. Where it lies
    /// within one unit, they may overlap.
    fn split_units(&self, extent: &Extent) -> (usize, usize) {
        let unit = self.task.cut.unit;
        let head = (extent.start.next_multiple_of(unit) - extent.start).min(extent.len);
        let tail = (extent.end() % unit).min(extent.len);
        (in_memory(head), in_memory(tail))
    }

    /// Whether whole units of this extent are left to the kernel: it is plain, and lies as blocks lie.
    fn may_copy(&self, extent: &Extent) -> bool {
        let aligned = |host: u64| host.wrapping_sub(extent.start).is_multiple_of(COPY_ALIGN);
        matches!(extent.kind, ExtentKind::Data { host, .. } if self.task.copies && aligned(host))
    }

    /// Decodes a run of compressed units that has been read to `stored` of the stored buffer.
    fn decode_run(
        &mut self,
        job: &Job,
        extents: &[Extent],
        run: &EncodedRun,
        stored: Range<usize>,
        buffers: &mut Buffers,
        passed: &mut Vec<(u64, Range<usize>)>,
    ) -> Result<()> {
        for extent in extents {
            let ExtentKind::Encoded(unit) = extent.kind else {
                continue;
            };
            let start = stored.start + in_memory(unit.host - run.host);
            let end = stored.end.min(start + unit.stored_len as usize);
            let bytes = &buffers.stored[start..end];
            let stream = self.stream_to_pass(extent, &unit, bytes)?;
            if stream.is_none() || !self.task.trust_encoded {
                let at = in_memory(extent.start - job.range.start);
                self.decode_one(extent, &unit, bytes, &mut buffers.plain[at..])?;
            }
            if let Some(stream) = stream {
                passed.push((extent.start, start + stream.start..start + stream.end));
            }
        }
        Ok(())
    }

    /// Decodes one unit into the start of `plain`.
    fn decode_one(&mut self, extent: &Extent, unit: &Encoded, stored: &[u8], plain: &mut [u8]) -> Result<()> {
        let len = in_memory(extent.len);
        if extent.len == u64::from(unit.unit) {
            decode_unit(self.task.source, extent, unit, stored, &mut self.decoder, &mut plain[..len])?;
            return Ok(());
        }
        grow(&mut self.scratch, unit.unit as usize);
        let scratch = &mut self.scratch[..unit.unit as usize];
        decode_unit(self.task.source, extent, unit, stored, &mut self.decoder, scratch)?;
        plain[..len].copy_from_slice(&scratch[unit.skip as usize..unit.skip as usize + len]);
        Ok(())
    }

    /// The place in `stored` of the stream that may be stored as it is, if the unit and its length allow it.
    fn stream_to_pass(&self, extent: &Extent, unit: &Encoded, stored: &[u8]) -> Result<Option<Range<usize>>> {
        let Some(compression) = self.task.shape.compression.filter(|_| self.may_pass(extent, unit)) else {
            return Ok(None);
        };
        let body = self.task.source.stored_body(extent.start, unit, stored)?;
        let Some(margins) = rewrap_margins(unit.codec, compression.codec) else {
            return Ok(None);
        };
        let stream = body.start + margins.0..body.end.saturating_sub(margins.1);
        Ok((!stream.is_empty() && stream.len() <= compression.max_len).then_some(stream))
    }

    /// Whether the stream of this unit may be stored as it is.
    fn may_pass(&self, extent: &Extent, unit: &Encoded) -> bool {
        let whole = extent.len == u64::from(unit.unit) && u64::from(unit.unit) == self.task.shape.unit;
        whole
            && extent.start.is_multiple_of(self.task.shape.unit)
            && self.task.cut.unit == self.task.shape.unit
            && self.task.shape.compression.is_some_and(|compression| compression.takes(unit.codec))
    }

    /// Says for every unit of the job what becomes of it.
    fn cut_into_pieces(&mut self, done: &mut Done, padded: usize, passed: &[(u64, Range<usize>)]) -> Result<()> {
        let Done { job, pieces, buffers } = done;
        let unit_len = in_memory(self.task.cut.unit);
        let mut passed = passed.iter().peekable();
        let mut extents = job.extents.as_slice();
        let mut encoded_used = 0;
        for at in (0..padded).step_by(unit_len) {
            let guest = job.range.start + at as u64;
            let len = (job.range.end - guest).min(self.task.cut.unit);
            while extents.first().is_some_and(|extent| extent.end() <= guest) {
                extents = &extents[1..];
            }
            let stream = passed.next_if(|(start, _)| *start == guest).map(|(_, stream)| stream.clone());
            let (form, bytes) = match self.unread_unit(extents, guest, guest + len) {
                Some(unread) => unread,
                None => self.settle(buffers, at..(at + unit_len).min(padded), stream, &mut encoded_used)?,
            };
            push_piece(pieces, Piece { guest, len, form }, bytes);
        }
        Ok(())
    }

    /// The form of the unit from `guest` to `end`, which the first of `extents` start in, where it has not been read.
    fn unread_unit(&self, extents: &[Extent], guest: u64, end: u64) -> Option<(Form, Bytes)> {
        if let Some(form) = self.idle_unit(extents, end) {
            return Some((form, Bytes::None));
        }
        let extent = extents.first()?;
        let whole = extent.start <= guest && extent.end() >= end && (end - guest) == self.task.cut.unit;
        match extent.kind {
            ExtentKind::Data { source, host } if whole && self.may_copy(extent) => {
                Some((Form::Plain, Bytes::Source { source, host: host + (guest - extent.start) }))
            }
            _ => None,
        }
    }

    /// The form of a unit that ends at `end` and that the first of `extents` start in, where it needs no look.
    fn idle_unit(&self, extents: &[Extent], end: u64) -> Option<Form> {
        let form = self.task.cut.idle_form(extents.first()?)?;
        for extent in extents {
            if self.task.cut.idle_form(extent) != Some(form) {
                return None;
            }
            if extent.end() >= end {
                return Some(form);
            }
        }
        None
    }

    /// Finds the form of a unit whose bytes are in the plain buffer, or whose `stream` may be stored as it is.
    fn settle(
        &mut self,
        buffers: &mut Buffers,
        plain: Range<usize>,
        stream: Option<Range<usize>>,
        encoded_used: &mut usize,
    ) -> Result<(Form, Bytes)> {
        let looked_at = stream.is_none() || !self.task.trust_encoded;
        if self.task.find_zeros && looked_at && is_zero(&buffers.plain[plain.clone()]) {
            return Ok((Form::Zero, Bytes::None));
        }
        if let Some(stream) = stream {
            return Ok((encoded_form(stream.len()), Bytes::Stored(stream)));
        }
        let (Some(encoder), Some(compression)) = (&mut self.encoder, self.task.shape.compression) else {
            return Ok((Form::Plain, Bytes::Plain(plain)));
        };
        let start = *encoded_used;
        grow(&mut buffers.encoded, start + compression.max_len);
        match encoder.encode(&buffers.plain[plain.clone()], &mut buffers.encoded[start..])? {
            None => Ok((Form::Plain, Bytes::Plain(plain))),
            Some(len) => {
                *encoded_used += len;
                Ok((encoded_form(len), Bytes::Encoded(start..start + len)))
            }
        }
    }
}

/// Compressed units that lie near each other and are read at once.
struct EncodedRun {
    /// Where they are stored.
    source: SourceId,
    /// First host byte.
    host: u64,
    /// Host bytes.
    len: usize,
    /// How many units.
    count: usize,
}

impl EncodedRun {
    /// The longest run at the start of `extents`, of which the first is encoded.
    fn at_start_of(image: &dyn Image, extents: &[Extent]) -> Result<Self> {
        let mut run: Option<Self> = None;
        for extent in extents {
            let ExtentKind::Encoded(unit) = extent.kind else {
                break;
            };
            let len = stored_len(source_of(image, unit.source)?.as_ref(), &unit)?;
            match &mut run {
                None => run = Some(Self { source: unit.source, host: unit.host, len, count: 1 }),
                Some(run) => {
                    let near = unit.source == run.source
                        && unit.host >= run.host
                        && unit.host <= run.host + (run.len + MAX_GAP) as u64;
                    let end = in_memory(unit.host.saturating_sub(run.host)).saturating_add(len);
                    if !near || end > MAX_RUN {
                        break;
                    }
                    run.len = run.len.max(end);
                    run.count += 1;
                }
            }
        }
        run.ok_or_else(|| Error::malformed("a run of compressed units is empty"))
    }

    /// Reads the run behind the first `used` bytes of `buffer` and returns where it lies there.
    fn read(&self, image: &dyn Image, buffer: &mut Vec<u8>, used: &mut usize) -> Result<Range<usize>> {
        let place = *used..*used + self.len;
        grow(buffer, place.end);
        source_of(image, self.source)?.read_at(&mut buffer[place.clone()], self.host)?;
        *used = place.end;
        Ok(place)
    }
}

/// Adds a piece, joined with the one before where both are plain or idle and touch.
fn push_piece(pieces: &mut Vec<(Piece, Bytes)>, piece: Piece, bytes: Bytes) {
    if let Some((last, last_bytes)) = pieces.last_mut()
        && last.form == piece.form
    {
        match (last_bytes, &bytes) {
            (Bytes::None, Bytes::None) => {
                last.len += piece.len;
                return;
            }
            (Bytes::Plain(before), Bytes::Plain(after)) if before.end == after.start => {
                before.end = after.end;
                last.len += piece.len;
                return;
            }
            (Bytes::Source { source, host }, Bytes::Source { source: next, host: after })
                if source == next && *host + last.len == *after =>
            {
                last.len += piece.len;
                return;
            }
            _ => {}
        }
    }
    pieces.push((piece, bytes));
}

/// The form of a unit that is stored as a stream of `len` bytes.
fn encoded_form(len: usize) -> Form {
    Form::Encoded(u32::try_from(len).unwrap_or(u32::MAX))
}

/// Makes `buffer` at least `len` bytes long. What is there stays there, whatever it is.
fn grow(buffer: &mut Vec<u8>, len: usize) {
    if buffer.len() < len {
        buffer.resize(len, 0);
    }
}

/// Converts a length within one job.
#[expect(clippy::cast_possible_truncation, reason = "a job is bounded by what fits into memory many times")]
fn in_memory(len: u64) -> usize {
    len as usize
}

/// Blocks of file systems that share them are a multiple of this, in bytes.
const COPY_ALIGN: u64 = 4096;
/// Largest gap between two units that are read at once, in bytes.
const MAX_GAP: usize = 64 << 10;
/// Longest run that is read at once, in bytes, unless a single unit is longer.
const MAX_RUN: usize = 4 << 20;
