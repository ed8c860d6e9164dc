//! The first half of a job: read and decode what lies in its range.

use std::ops::Range;

use super::buffers::{Buffers, in_memory};
use super::plan::Job;
use super::run::EncodedRun;
use super::work::Worker;
use crate::codec::{Codec, Rewrap, ZLIB_FRAME_LEN, rewrap};
use crate::extent::{Encoded, Extent, ExtentKind};
use crate::image::Image;
use crate::read::{decode_unit, source_of};
use crate::storage::Storage;
use crate::{Error, Result};

/// A compressed unit that need not be encoded.
#[derive(Clone, Debug)]
pub(super) struct Passed {
    /// Its first guest byte.
    pub(super) guest: u64,
    /// What becomes of it instead.
    pub(super) pass: Pass,
}

/// What becomes of a compressed unit that need not be encoded.
#[derive(Clone, Debug)]
pub(super) enum Pass {
    /// This stream in the stored buffer is stored as it is.
    Stream(Range<usize>),
    /// This deflate stream in the stored buffer, which ends where the range ends, is stored in a zlib frame.
    Frame(Range<usize>),
    /// It is stored plain: as a stream it would be too long, which its own stream has shown.
    Plain,
}

impl Pass {
    /// The same, where the buffer that the stream is in starts `by` bytes earlier.
    fn moved(self, by: usize) -> Self {
        let moved = |range: Range<usize>| by + range.start..by + range.end;
        match self {
            Self::Stream(stream) => Self::Stream(moved(stream)),
            Self::Frame(body) => Self::Frame(moved(body)),
            Self::Plain => Self::Plain,
        }
    }
}

impl Worker<'_> {
    /// Fills the plain buffer from the job's extents. Returns the compressed units that need not be encoded.
    pub(super) fn fill(&mut self, job: &Job, buffers: &mut Buffers) -> Result<Vec<Passed>> {
        let image = job.source(self.task.source);
        let mut passed = Vec::new();
        let mut stored_used = 0;
        let mut rest = job.extents.as_slice();
        while let Some(extent) = rest.first() {
            let plain = in_memory(extent.start - job.range.start)..in_memory(extent.end() - job.range.start);
            let mut taken = 1;
            match extent.kind {
                ExtentKind::Encoded(_) => {
                    let run = EncodedRun::at_start_of(image, rest)?;
                    taken = run.count;
                    let stored = run.read(image, &mut buffers.stored, &mut stored_used)?;
                    self.decode_run(job, &rest[..taken], &run, stored, buffers, &mut passed)?;
                }
                ExtentKind::Data { source, host } => {
                    let source = source_of(image, source)?.as_ref();
                    self.read_data(extent, source, host, &mut buffers.plain[plain])?;
                }
                ExtentKind::Opaque => image.read_at(&mut buffers.plain[plain], extent.start)?,
                ExtentKind::Zero { .. } => self.fill_zero(extent, &mut buffers.plain[plain]),
                ExtentKind::Parent => {
                    return Err(Error::malformed(format!("guest byte {} is left to a parent", extent.start)));
                }
            }
            rest = &rest[taken..];
        }
        Ok(passed)
    }

    /// Writes the zeros of an extent that shares a unit with other bytes; whole zero units are looked at only
    /// where zeros are stored.
    fn fill_zero(&self, extent: &Extent, plain: &mut [u8]) {
        if self.task.cut.zeros_as_data {
            return plain.fill(0);
        }
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
    pub(super) fn may_copy(&self, extent: &Extent) -> bool {
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
        passed: &mut Vec<Passed>,
    ) -> Result<()> {
        let image = job.source(self.task.source);
        for extent in extents {
            let ExtentKind::Encoded(unit) = extent.kind else {
                continue;
            };
            let start = stored.start + in_memory(unit.host - run.host);
            let end = stored.end.min(start + unit.stored_len as usize);
            let at = in_memory(extent.start - job.range.start);
            let (bytes, plain) = (&buffers.stored[start..end], &mut buffers.plain[at..]);
            let pass = self.decode_or_pass(image, extent, &unit, bytes, plain)?;
            passed.extend(pass.map(|pass| Passed { guest: extent.start, pass: pass.moved(start) }));
        }
        Ok(())
    }

    /// Decodes one unit into the start of `plain`, unless it may be passed on without. Says what becomes of it where it
    /// need not be encoded; places are relative to `stored`.
    fn decode_or_pass(
        &mut self,
        image: &dyn Image,
        extent: &Extent,
        unit: &Encoded,
        stored: &[u8],
        plain: &mut [u8],
    ) -> Result<Option<Pass>> {
        let len = in_memory(extent.len);
        let Some((rewrap, body)) = self.rewrap(image, extent, unit, stored)? else {
            self.decode_one(image, extent, unit, stored, plain)?;
            return Ok(None);
        };
        let max_len = self.task.shape.compression.map_or(0, |compression| compression.max_len);
        let start = body.start;
        match rewrap {
            // A bare stream is stored with what fills its last sector, which would be passed on with it.
            Rewrap::Strip(0, 0)
                if !self.task.trust_encoded
                    && let Some(exact) = self.decode_whole(unit.codec, &stored[body.clone()], &mut plain[..len])
                    && exact <= max_len =>
            {
                Ok(Some(Pass::Stream(start..start + exact)))
            }
            Rewrap::Strip(front, back) => {
                let stream = body.start + front..body.end.saturating_sub(back);
                let fits = stream.len() <= max_len;
                if !fits || !self.task.trust_encoded || stream.is_empty() {
                    self.decode_one(image, extent, unit, stored, plain)?;
                }
                Ok((!stream.is_empty()).then_some(if fits { Pass::Stream(stream) } else { Pass::Plain }))
            }
            Rewrap::FrameZlib => match self.decode_whole(Codec::Deflate, &stored[body], &mut plain[..len]) {
                Some(exact) if exact + ZLIB_FRAME_LEN <= max_len => Ok(Some(Pass::Frame(start..start + exact))),
                // What has no end of its own, or is wrong, is for the decoder that knows what to say of it.
                _ => {
                    self.decode_one(image, extent, unit, stored, plain)?;
                    Ok(None)
                }
            },
        }
    }

    /// Decodes a stream that gives all of `plain`, and returns its own length; what follows it is ignored. `None` where it is
    /// not so, or where the codec's streams come with their length.
    fn decode_whole(&mut self, codec: Codec, stream: &[u8], plain: &mut [u8]) -> Option<usize> {
        let (exact, decoded) = match codec {
            Codec::Deflate => self.decoder.inflate_exactly(stream, plain).ok()?,
            Codec::Zstd => self.decoder.zstd_exactly(stream, plain).ok()?,
            Codec::Zlib => return None,
        };
        (decoded == plain.len()).then_some(exact)
    }

    /// Decodes one unit into the start of `plain`.
    fn decode_one(
        &mut self,
        image: &dyn Image,
        extent: &Extent,
        unit: &Encoded,
        stored: &[u8],
        plain: &mut [u8],
    ) -> Result<()> {
        let len = in_memory(extent.len);
        if extent.len == u64::from(unit.unit) {
            decode_unit(image, extent, unit, stored, &mut self.decoder, &mut plain[..len])?;
            return Ok(());
        }
        self.scratch.grow(unit.unit as usize);
        let scratch = &mut self.scratch[..unit.unit as usize];
        decode_unit(image, extent, unit, stored, &mut self.decoder, scratch)?;
        plain[..len].copy_from_slice(&scratch[unit.skip as usize..unit.skip as usize + len]);
        Ok(())
    }

    /// How the stream of a unit becomes one of the target, and where in `stored` it is; `None` where it has to be encoded.
    fn rewrap(
        &self,
        image: &dyn Image,
        extent: &Extent,
        unit: &Encoded,
        stored: &[u8],
    ) -> Result<Option<(Rewrap, Range<usize>)>> {
        let compression = self.task.shape.compression.filter(|_| self.may_pass(extent, unit));
        let Some(rewrap) = compression.and_then(|compression| rewrap(unit.codec, compression.codec)) else {
            return Ok(None);
        };
        Ok(Some((rewrap, image.stored_body(extent.start, unit, stored)?)))
    }

    /// Whether the stream of this unit may be stored as it is.
    fn may_pass(&self, extent: &Extent, unit: &Encoded) -> bool {
        let whole = extent.len == u64::from(unit.unit) && u64::from(unit.unit) == self.task.shape.unit;
        whole
            && extent.start.is_multiple_of(self.task.shape.unit)
            && self.task.cut.unit == self.task.shape.unit
            && self.task.shape.compression.is_some_and(|compression| compression.takes(unit.codec))
    }
}

/// Blocks of file systems that share them are a multiple of this, in bytes.
const COPY_ALIGN: u64 = 4096;
