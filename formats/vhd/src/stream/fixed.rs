//! A fixed disk: all that comes before its footer.

use imgfmt_core::{Error, ImageStream, Limits, OpenContext, Options, Result, StreamForm, StreamPart};

use super::input::{Input, footer_in};
use crate::NAME;
use crate::footer::DiskType;
use crate::layout::{FOOTER_LEN, MAX_SECTORS, SECTOR_LEN};
use crate::size::SizeFrom;

/// A fixed disk as it arrives.
pub(super) struct FixedStream {
    /// Where it comes from.
    input: Input,
    /// Bytes that came and may be the footer's.
    held: Vec<u8>,
    /// Guest bytes that were handed out.
    next: u64,
    /// Most guest bytes that may come.
    limit: u64,
    /// Options for opening.
    options: Options,
    /// Guest bytes of the disk, once the end has been seen.
    size: Option<u64>,
}

impl FixedStream {
    /// The disk in `input`.
    pub(super) fn new(input: Input, context: &OpenContext<'_>) -> Self {
        let limit = context.limits.virtual_size.min(MAX_SECTORS * SECTOR_LEN);
        Self { input, held: Vec::new(), next: 0, limit, options: context.options.clone(), size: None }
    }

    /// Hands out the first `len` bytes of those that are held.
    fn hand_out(&mut self, bytes: &mut Vec<u8>, len: usize) -> Result<Option<StreamPart>> {
        let start = self.next;
        self.next += len as u64;
        Limits::check("Current Size", self.next, self.limit)?;
        bytes.extend(self.held.drain(..len));
        Ok(Some(StreamPart { start, len: len as u64, form: StreamForm::Plain }))
    }

    /// Checks the footer, once nothing else is held.
    fn end(&mut self) -> Result<()> {
        let (footer, _) = footer_in(&self.held)?;
        if footer.disk_type != DiskType::Fixed {
            let what = format!(
                "this is a {} disk without a footer in front; it has to be read from a file",
                footer.disk_type.name()
            );
            return Err(Error::unsupported(what));
        }
        let size_from = SizeFrom::choose(&footer, &self.options)?;
        let size = size_from.size_of(&footer)?;
        let what = format!("is {size} bytes, but {} came before the footer", self.next);
        if size > self.next {
            return Err(Error::out_of_bounds(what).field(size_from.field()));
        }
        if size < self.next {
            let what = format!("{what}; such a disk has to be read from a file");
            return Err(Error::unsupported(what).field(size_from.field()));
        }
        self.size = Some(size);
        Ok(())
    }

    /// As [`ImageStream::next_part`].
    fn part(&mut self, bytes: &mut Vec<u8>, max: u64) -> Result<Option<StreamPart>> {
        if self.size.is_some() {
            return Ok(None);
        }
        let max = usize::try_from(max).map_or(PART_LEN, |max| max.clamp(1, PART_LEN));
        let missing = (max + FOOTER_LEN).saturating_sub(self.held.len());
        self.input.fill(&mut self.held, missing)?;
        let sure = self.held.len().saturating_sub(FOOTER_LEN);
        if sure > 0 {
            return self.hand_out(bytes, sure.min(max));
        }
        // A footer of 511 bytes leaves one that is the guest's.
        if footer_in(&self.held)?.1.len() == 1 {
            return self.hand_out(bytes, 1);
        }
        self.end()?;
        Ok(None)
    }
}

impl ImageStream for FixedStream {
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

/// Bytes handed out at once at most.
const PART_LEN: usize = 1 << 20;
