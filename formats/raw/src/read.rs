//! Reading: the map is the files' own holes.

use std::ops::Range;
use std::sync::Arc;

use imgfmt_core::{Description, Encoded, Error, ExtentKind, ExtentSink, Image, Result, SourceId, Storage};
use serde_json::json;

use crate::NAME;
use crate::open::window;

/// Storages one behind the other.
#[derive(Debug)]
pub(crate) struct Joined {
    /// The storages, at least one.
    parts: Vec<Arc<dyn Storage>>,
    /// For each storage, its first byte in the whole.
    starts: Vec<u64>,
    /// Bytes of all.
    len: u64,
}

impl Joined {
    /// Puts `parts`, at least one, one behind the other.
    pub(crate) fn new(parts: Vec<Arc<dyn Storage>>) -> Result<Self> {
        let mut starts = Vec::with_capacity(parts.len());
        let mut len = 0u64;
        for part in &parts {
            starts.push(len);
            let end = len.checked_add(part.len());
            len = end.ok_or_else(|| Error::limit("the files together are longer than any disk"))?;
        }
        Ok(Self { parts, starts, len })
    }

    /// Bytes of all.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// What of each storage lies within `range` of the whole; at least one window, which may be empty.
    pub(crate) fn windows(&self, range: &Range<u64>) -> Result<Vec<Arc<dyn Storage>>> {
        let mut windows = Vec::new();
        for (part, &start) in self.parts.iter().zip(&self.starts) {
            let from = range.start.clamp(start, start + part.len());
            let to = range.end.clamp(start, start + part.len());
            if from < to {
                windows.push(window(part, from - start..to - start)?);
            }
        }
        if windows.is_empty() {
            windows.push(window(&self.parts[0], 0..0)?);
        }
        Ok(windows)
    }

    /// The storage that holds `offset`, which is below the length, and its first byte.
    fn part_at(&self, offset: u64) -> (usize, u64) {
        // Of several that start at the same byte, all but the last are empty.
        let index = self.starts.partition_point(|&start| start <= offset).saturating_sub(1);
        (index, self.starts[index])
    }

    /// Fills `buf` from `offset` on.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        if let [only] = self.parts.as_slice() {
            return only.read_at(buf, offset);
        }
        if offset.checked_add(buf.len() as u64).is_none_or(|end| end > self.len) {
            let what = format!("{} bytes are wanted here, but the files end at byte {}", buf.len(), self.len);
            return Err(Error::out_of_bounds(what).at(offset));
        }
        let (mut rest, mut next) = (buf, offset);
        while !rest.is_empty() {
            let (index, start) = self.part_at(next);
            let there = start + self.parts[index].len() - next;
            let here = usize::try_from(there).unwrap_or(usize::MAX).min(rest.len());
            let (front, behind) = rest.split_at_mut(here);
            self.parts[index].read_at(front, next - start)?;
            next += here as u64;
            rest = behind;
        }
        Ok(())
    }
}

/// What is to be said about a raw image.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts {
    /// How many files it is made of, those outside the window counted.
    pub(crate) files: usize,
    /// Whether there may be more files, which were not looked for.
    pub(crate) unseen: bool,
    /// The byte of the files at which it starts.
    pub(crate) offset: u64,
}

/// A raw image.
#[derive(Debug)]
pub(crate) struct RawImage {
    /// The disk.
    disk: Joined,
    /// What is to be said about it.
    facts: Facts,
}

impl RawImage {
    /// The image of `disk`.
    pub(crate) fn new(disk: Joined, facts: Facts) -> Self {
        Self { disk, facts }
    }
}

impl Image for RawImage {
    fn size(&self) -> u64 {
        self.disk.len()
    }

    fn sources(&self) -> &[Arc<dyn Storage>] {
        &self.disk.parts
    }

    fn map(&self, range: Range<u64>, sink: &mut ExtentSink<'_>) -> Result<()> {
        let mut next = range.start;
        while next < range.end && !sink.is_full() {
            let (index, start) = self.disk.part_at(next);
            let segment = self.disk.parts[index].segment(next - start)?;
            let kind = if segment.hole {
                ExtentKind::Zero { explicit: false }
            } else {
                let source = SourceId(u32::try_from(index).map_err(|_| Error::limit("there are too many files"))?);
                ExtentKind::Data { source, host: next - start }
            };
            sink.push(next, segment.len.get(), kind);
            next = next.saturating_add(segment.len.get());
        }
        Ok(())
    }

    fn stored_body(&self, _unit_start: u64, _unit: &Encoded, _stored: &[u8]) -> Result<Range<usize>> {
        Err(Error::malformed("a raw image has no compressed units").in_format(NAME))
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        self.disk.read_at(buf, offset)
    }

    fn describe(&self) -> Description {
        let Facts { files, unseen, offset } = self.facts;
        let mut description = Description { format: NAME, ..Description::default() };
        if files > 1 || unseen {
            description.subformat = Some("split".to_owned());
        }
        if files > 1 {
            description.details.insert("files".to_owned(), json!(files));
        }
        if unseen {
            description.details.insert("first-part-only".to_owned(), json!(true));
        }
        if offset > 0 {
            description.details.insert("offset".to_owned(), json!(offset));
        }
        description
    }
}
