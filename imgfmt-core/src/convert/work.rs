//! One job: read, decode, find zeros, encode. Everything here runs in parallel and in no order.

use std::ops::Range;

use super::buffers::{Buffers, Bytes, in_memory};
use super::fill::{Pass, Passed};
use super::plan::{Cut, Job};
use super::salvage::Rescue;
use super::zero::is_zero;
use crate::Result;
use crate::aligned::AlignedBuf;
use crate::codec::{Decoder, Encoder, ZLIB_FRAME_LEN, frame_zlib};
use crate::extent::{Extent, ExtentKind};
use crate::image::Image;
use crate::writer::{Form, Piece, Shape};

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
    /// How it goes on where something cannot be read, if that is no error.
    pub(super) rescue: Option<Rescue<'a>>,
    /// Whether plain units are left to the kernel to copy.
    pub(super) copies: bool,
}

/// What a worker keeps from job to job.
pub(super) struct Worker<'a> {
    /// What it works on.
    pub(super) task: Task<'a>,
    /// Decoding contexts.
    pub(super) decoder: Decoder,
    /// The encoding context, where the writer compresses.
    encoder: Option<Encoder>,
    /// A unit of the source that does not fit where it belongs.
    pub(super) scratch: AlignedBuf,
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

impl<'a> Worker<'a> {
    /// A worker for one thread.
    pub(super) fn new(task: Task<'a>) -> Result<Self> {
        let encoder = task.shape.compression.as_ref().map(Encoder::new).transpose()?;
        Ok(Self { task, decoder: Decoder::default(), encoder, scratch: AlignedBuf::default() })
    }

    /// Works on `job`.
    pub(super) fn work(&mut self, job: Job, buffers: Buffers) -> Result<Done> {
        let mut done = Done { job, pieces: Vec::new(), buffers };
        let len = in_memory(done.job.range.end - done.job.range.start);
        // To the unit of the writer: where zeros are found in longer runs, there is no place for more.
        let padded =
            if self.task.shape.pads_last { len.next_multiple_of(in_memory(self.task.shape.unit)) } else { len };
        done.buffers.plain.grow(padded);
        done.buffers.plain[len..padded].fill(0);
        let passed = match (self.fill(&done.job, &mut done.buffers), self.task.rescue) {
            (Ok(passed), _) => passed,
            (Err(_), Some(rescue)) => {
                self.fill_what_can_be(&done.job, &mut done.buffers, rescue)?;
                Vec::new()
            }
            (Err(error), None) => return Err(error),
        };
        self.cut_into_pieces(&mut done, padded, &passed)?;
        Ok(done)
    }

    /// Says for every unit of the job what becomes of it.
    fn cut_into_pieces(&mut self, done: &mut Done, padded: usize, passed: &[Passed]) -> Result<()> {
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
            let pass = passed.next_if(|passed| passed.guest == guest).map(|passed| passed.pass.clone());
            let (form, bytes) = match self.unread_unit(extents, guest, guest + len) {
                Some(unread) => unread,
                None => self.settle(buffers, at..(at + unit_len).min(padded), pass, &mut encoded_used)?,
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

    /// Finds the form of a unit whose bytes are in the plain buffer, or that need not be encoded.
    fn settle(
        &mut self,
        buffers: &mut Buffers,
        plain: Range<usize>,
        pass: Option<Pass>,
        encoded_used: &mut usize,
    ) -> Result<(Form, Bytes)> {
        let looked_at = !matches!(pass, Some(Pass::Stream(_))) || !self.task.trust_encoded;
        if self.task.find_zeros && looked_at && is_zero(&buffers.plain[plain.clone()]) {
            return Ok((Form::Zero, Bytes::None));
        }
        match pass {
            Some(Pass::Stream(stream)) => return Ok((encoded_form(stream.len()), Bytes::Stored(stream))),
            Some(Pass::Frame(body)) => {
                let start = *encoded_used;
                buffers.encoded.grow(start + body.len() + ZLIB_FRAME_LEN);
                let Buffers { plain: unit, stored, encoded } = buffers;
                *encoded_used += frame_zlib(&stored[body], &unit[plain], &mut encoded[start..]);
                return Ok((encoded_form(*encoded_used - start), Bytes::Encoded(start..*encoded_used)));
            }
            Some(Pass::Plain) => return Ok((Form::Plain, Bytes::Plain(plain))),
            None => {}
        }
        let (Some(encoder), Some(compression)) = (&mut self.encoder, self.task.shape.compression) else {
            return Ok((Form::Plain, Bytes::Plain(plain)));
        };
        let start = *encoded_used;
        buffers.encoded.grow(start + compression.max_len);
        match encoder.encode(&buffers.plain[plain.clone()], &mut buffers.encoded[start..])? {
            None => Ok((Form::Plain, Bytes::Plain(plain))),
            Some(len) => {
                *encoded_used += len;
                Ok((encoded_form(len), Bytes::Encoded(start..start + len)))
            }
        }
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
