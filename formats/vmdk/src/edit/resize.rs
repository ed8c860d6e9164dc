//! Another size for the disk. It is the last extent that grows or shrinks.
//!
//! What makes it so is one sector: the header of a sparse extent, the descriptor of a flat one. Between the header and
//! the descriptor of a sparse extent the header counts, since the extent is marked as being changed.

use imgfmt_core::{Error, Limits, Preallocation, Result};

use super::state::{Content, State};
use crate::descriptor::{Change, Patch};
use crate::layout::SECTOR_LEN;

/// A resize that can be done.
pub(super) struct Plan {
    /// The number of the last extent.
    pub(super) number: usize,
    /// Guest bytes that it will have.
    pub(super) size: u64,
    /// What is to be done about the new space.
    pub(super) preallocation: Preallocation,
    /// What is to be written to the descriptor, where there is one.
    pub(super) patch: Option<Patch>,
}

impl State {
    /// Makes the disk `size` guest bytes large.
    pub(super) fn resize(&mut self, size: u64, preallocation: Preallocation) -> Result<()> {
        if size == self.size {
            return Ok(());
        }
        let (number, part_size) = self.check_size(size)?;
        self.flush()?;
        self.begin(number)?;
        // The identity has been renewed before, so that this is the text as it is.
        let patch = self.patch_for(part_size, size)?;
        let plan = Plan { number, size: part_size, preallocation, patch };
        let resized = match self.parts[number].content {
            Content::Flat { medium, host } => self.resize_flat(plan, medium, host),
            Content::Sparse(_) => self.resize_sparse(plan),
        };
        // It has its new size once the medium says so, whatever fails then.
        self.size = self.parts[number].start + self.parts[number].size;
        resized
    }

    /// Writes what `plan` says to the descriptor.
    pub(super) fn resize_text(&mut self, plan: &Plan) -> Result<()> {
        match (&mut self.text, &plan.patch) {
            (Some(text), Some(patch)) => self.halt.on_error(text.write(patch)),
            _ => Ok(()),
        }
    }

    /// Checks that the disk can have `size` bytes; says which extent changes, and the bytes that it will have.
    fn check_size(&self, size: u64) -> Result<(usize, u64)> {
        if size == 0 || !size.is_multiple_of(SECTOR_LEN) {
            return Err(Error::invalid(format!("a VMDK has whole sectors, and at least one: not {size} bytes")));
        }
        Limits::check("virtual size", size, self.limits.virtual_size.min(i64::MAX as u64))?;
        let cannot = |what: String| Err(Error::unsupported(what));
        let (Some(last), Some(number)) = (self.parts.last(), self.parts.len().checked_sub(1)) else {
            return cannot("the disk has no extent".to_owned());
        };
        let Some(part_size) = size.checked_sub(last.start).filter(|&size| size > 0) else {
            return cannot(format!("the disk would lose an extent: {} bytes are in those before the last", last.start));
        };
        if number > 0 && part_size > last.size && part_size > SPLIT_LEN {
            return cannot(format!("the last extent would pass {SPLIT_LEN} bytes, and another would be needed"));
        }
        if self.text.as_ref().is_some_and(|text| text.last_line.is_none()) {
            return cannot("the descriptor has no line for the last extent".to_owned());
        }
        self.patch_for(part_size, size)?;
        Ok((number, part_size))
    }

    /// What makes the descriptor say that the last extent has `part_size` bytes, and the disk `size`.
    fn patch_for(&self, part_size: u64, size: u64) -> Result<Option<Patch>> {
        let Some(text) = &self.text else { return Ok(None) };
        let Some(range) = text.last_line.and_then(|at| text.text.sectors_of_line(at)) else { return Ok(None) };
        let line: Change = (range, (part_size / SECTOR_LEN).to_string().into_bytes());
        let mut changes: Vec<Change> = std::iter::once(line.clone()).chain(self.cylinders_for(size)).collect();
        changes.sort_by_key(|(range, _)| range.start);
        // The geometry is what can be left as it is.
        text.text.patch(&changes).or_else(|_| text.text.patch(&[line])).map(Some)
    }

    /// The change of the geometry that goes with a disk of `size` bytes.
    fn cylinders_for(&self, size: u64) -> Option<Change> {
        let text = &self.text.as_ref()?.text;
        let number = |key: &str| {
            let range = text.value(key)?;
            let value: u64 = std::str::from_utf8(&text.bytes[range.clone()]).ok()?.parse().ok()?;
            Some((range, value))
        };
        let (range, old) = number("ddb.geometry.cylinders")?;
        let cylinder = number("ddb.geometry.heads")?.1.checked_mul(number("ddb.geometry.sectors")?.1)?;
        // What did not follow from the size before does not now.
        if cylinder == 0 || old != self.size / SECTOR_LEN / cylinder {
            return None;
        }
        Some((range, (size / SECTOR_LEN / cylinder).to_string().into_bytes()))
    }
}

/// Bytes of an extent of a disk that is split, but for the last: 2047 MiB, as VMware splits.
const SPLIT_LEN: u64 = 2047 << 20;
