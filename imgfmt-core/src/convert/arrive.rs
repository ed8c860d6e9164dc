//! Cuts what a stream hands out into jobs, as it arrives.

use std::ops::Range;

use super::held::{Held, held_data};
use super::plan::{Cut, Job};
use super::salvage::Rescue;
use crate::extent::{Encoded, Extent, ExtentKind, SourceId};
use crate::stream::{ImageStream, StreamForm, StreamPart};
use crate::writer::{Form, Piece};
use crate::{Error, Result};

/// Hands out the jobs of a stream.
pub(super) struct Arrivals<'a> {
    /// What is converted.
    stream: &'a mut dyn ImageStream,
    /// How to cut.
    cut: Cut,
    /// Where jobs may end, so that neither a unit of the writer nor one of the stream is cut in two.
    align: u64,
    /// First guest byte that is in no job yet; at a unit.
    next: u64,
    /// The next job's position.
    seq: u64,
    /// A part that begins behind the last job, and its bytes.
    early: Option<(StreamPart, Vec<u8>)>,
    /// Whether the stream has ended.
    ended: bool,
    /// How it goes on where the stream cannot, if that is no error.
    rescue: Option<Rescue<'a>>,
}

/// A job that is being put together.
#[derive(Default)]
struct Draft {
    /// Bytes that the stream has handed out.
    bytes: Vec<u8>,
    /// What they are.
    extents: Vec<Extent>,
    /// First guest byte that no extent has.
    end: u64,
}

impl<'a> Arrivals<'a> {
    /// Jobs of all that `stream` hands out.
    pub(super) fn new(stream: &'a mut dyn ImageStream, cut: Cut, rescue: Option<Rescue<'a>>) -> Self {
        let align = cut.unit.max(stream.unit().next_power_of_two());
        Self { stream, cut, align, next: 0, seq: 0, early: None, ended: false, rescue }
    }

    /// Guest bytes of the disk, as far as they are known.
    pub(super) fn size(&self) -> u64 {
        self.stream.size().unwrap_or(self.next)
    }

    /// The next job, or `None` at the end of the disk.
    pub(super) fn next_job(&mut self) -> Result<Option<Job>> {
        let mut job = Job { seq: self.seq, ..Job::default() };
        let mut draft = Draft { end: self.next, ..Draft::default() };
        let first = self.part(&mut draft.bytes, self.next..self.limit())?;
        self.skip_gap(first.as_ref(), &mut job, &mut draft)?;
        let start = self.next;
        let limit = self.limit();
        let mut part = first;
        while let Some(here) = part.take() {
            if here.start >= limit {
                // Only where zeros are work: otherwise the gap before the first part has been left behind.
                draft.zeros_until(limit);
                self.early = Some((here, std::mem::take(&mut draft.bytes)));
                break;
            }
            self.add(here, limit, &mut draft)?;
            if draft.end >= limit {
                break;
            }
            let taken = draft.bytes.len();
            part = self.part(&mut draft.bytes, draft.end..limit)?;
            if let Some(far) = part.take_if(|part| part.start >= limit) {
                let bytes = draft.bytes.split_off(taken);
                self.early = Some((rebased(far, taken, 0), bytes));
            }
        }
        self.close(&mut job, draft, start)
    }

    /// The guest byte at which a job that begins at `next` ends at the latest.
    fn limit(&self) -> u64 {
        let end = self.next.saturating_add(self.cut.job_len.next_multiple_of(self.align));
        end - end % self.align
    }

    /// The next part, which begins in `range` or behind it, and whose bytes are appended to `bytes`.
    fn part(&mut self, bytes: &mut Vec<u8>, range: Range<u64>) -> Result<Option<StreamPart>> {
        if let Some((part, held)) = self.early.take() {
            let base = bytes.len();
            bytes.extend_from_slice(&held);
            return Ok(Some(rebased(part, 0, base)));
        }
        if self.ended {
            return Ok(None);
        }
        let base = bytes.len();
        let part = match (self.stream.next_part(bytes, range.end - range.start), self.rescue, self.stream.size()) {
            (Ok(part), ..) => part,
            // There is no way to go on behind the place where a stream breaks off: the rest is lost.
            (Err(_), Some(rescue), Some(size)) => {
                bytes.truncate(base);
                rescue.salvage.lose(range.start..size.max(range.start));
                None
            }
            (Err(error), ..) => return Err(error),
        };
        self.ended = part.is_none();
        Ok(part)
    }

    /// Moves over whole units of zeros before `first`, or before the end of the disk.
    fn skip_gap(&mut self, first: Option<&StreamPart>, job: &mut Job, draft: &mut Draft) -> Result<()> {
        let to = match first {
            Some(part) => part.start - part.start % self.cut.unit,
            None => self.ended_size()?,
        };
        if to <= self.next {
            return Ok(());
        }
        if self.cut.zeros_as_data {
            // Zeros are work: as much of them as a job takes, and the part has to wait.
            return Ok(());
        }
        job.before.push(Piece { guest: self.next, len: to - self.next, form: Form::Zero });
        self.next = to;
        draft.end = to;
        Ok(())
    }

    /// Adds a part that begins before `limit`; what lies behind that is kept for the next job.
    fn add(&mut self, part: StreamPart, limit: u64, draft: &mut Draft) -> Result<()> {
        let StreamPart { start, len, form } = part;
        let end = start.checked_add(len).filter(|_| start >= draft.end && len > 0);
        let end = end.ok_or_else(|| {
            Error::malformed(format!("a stream hands out {len} guest bytes at {start}, behind byte {}", draft.end))
        })?;
        draft.zeros_until(start);
        let here = end.min(limit) - start;
        match form {
            StreamForm::Zero => draft.zeros_until(start + here),
            StreamForm::Plain => {
                let host = draft.bytes.len() - in_memory(len)?;
                draft.push(start, here, held_data(host));
                if here < len {
                    let rest = StreamPart { start: limit, len: len - here, form: StreamForm::Plain };
                    self.early = Some((rest, draft.bytes.split_off(host + in_memory(here)?)));
                }
            }
            StreamForm::Encoded { codec, unit, body } => {
                if here < len || !start.is_multiple_of(u64::from(unit.max(1))) || len > u64::from(unit) {
                    let what = format!("a stream hands out a unit of {unit} guest bytes at {start}, where none can be");
                    return Err(Error::malformed(what));
                }
                let stored_len = u32::try_from(body.len()).unwrap_or(u32::MAX);
                let (source, host) = (SourceId(0), body.start as u64);
                draft.push(start, len, ExtentKind::Encoded(Encoded { source, host, stored_len, codec, unit, skip: 0 }));
            }
        }
        if here < len && self.early.is_none() {
            self.early = Some((StreamPart { start: limit, len: len - here, form: StreamForm::Zero }, Vec::new()));
        }
        Ok(())
    }

    /// Ends the job that begins at `start` at a unit or at the end of the disk.
    fn close(&mut self, job: &mut Job, mut draft: Draft, start: u64) -> Result<Option<Job>> {
        let mut end = draft.end.checked_next_multiple_of(self.cut.unit).unwrap_or(u64::MAX);
        if self.ended && self.early.is_none() {
            let size = self.ended_size()?;
            if draft.end > size {
                return Err(Error::malformed(format!("a stream of a disk of {size} bytes goes on to {}", draft.end)));
            }
            end = end.min(size);
            if self.cut.zeros_as_data {
                end = size.min(self.limit());
            }
        }
        draft.zeros_until(end);
        job.range = start..end;
        self.next = end;
        if job.before.is_empty() && job.range.is_empty() {
            return Ok(None);
        }
        job.extents.clone_from(&draft.extents);
        job.held = Some(Held::new(draft.bytes, draft.extents));
        self.seq += 1;
        Ok(Some(std::mem::take(job)))
    }

    /// Guest bytes of the disk, which are known once the stream has ended.
    fn ended_size(&self) -> Result<u64> {
        let what = "a stream has ended, and does not say how large its disk is";
        self.stream.size().ok_or_else(|| Error::malformed(what))
    }
}

impl Draft {
    /// Adds zeros up to `end`.
    fn zeros_until(&mut self, end: u64) {
        if end > self.end {
            self.push(self.end, end - self.end, ExtentKind::Zero { explicit: false });
        }
    }

    /// Adds an extent behind the last one.
    fn push(&mut self, start: u64, len: u64, kind: ExtentKind) {
        self.extents.push(Extent { start, len, layer: 0, kind });
        self.end = start + len;
    }
}

/// `part`, whose buffer now begins at `to` where it began at `from`.
fn rebased(part: StreamPart, from: usize, to: usize) -> StreamPart {
    match part.form {
        StreamForm::Encoded { codec, unit, body } => {
            let body = body.start - from + to..body.end - from + to;
            StreamPart { form: StreamForm::Encoded { codec, unit, body }, ..part }
        }
        _ => part,
    }
}

/// A length of bytes that are in memory.
fn in_memory(len: u64) -> Result<usize> {
    usize::try_from(len).map_err(|_| Error::malformed("a stream hands out more than fits into memory"))
}
