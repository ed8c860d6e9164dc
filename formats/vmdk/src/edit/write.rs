//! Writing guest bytes.

use std::ops::Range;

use imgfmt_core::{Erase, Result};

use super::grains::{Grain, Grains};
use super::parents_bytes;
use super::sectors::write_sectors;
use super::state::{Content, State};
use crate::layout::byte_of;

impl State {
    /// Writes guest bytes from `offset` on.
    pub(super) fn write(&mut self, bytes: &[u8], offset: u64) -> Result<()> {
        let range = offset..offset.saturating_add(bytes.len() as u64);
        self.check_range(&range)?;
        self.check_edges(&range, None)?;
        let mut rest = bytes;
        self.each_part(range, |state, number, within| {
            state.begin(number)?;
            let (here, after) = rest.split_at(usize_of(within.end - within.start).min(rest.len()));
            rest = after;
            match &mut state.parts[number].content {
                Content::Flat { medium, host } => {
                    write_sectors(state.media[*medium].as_ref(), here, *host + within.start)
                }
                Content::Sparse(grains) => grains.write(here, within.start),
            }
        })
    }

    /// Checks that no grain of which `range` has a part leaves its other bytes to the parent; for an erasure, `how` says
    /// what is to become of the range.
    pub(super) fn check_edges(&mut self, range: &Range<u64>, how: Option<Erase>) -> Result<()> {
        if !self.has_parent || range.is_empty() {
            return Ok(());
        }
        for at in [range.start, range.end - 1] {
            let number = self.part_at(at);
            let part = &mut self.parts[number];
            let (start, end) = (range.start.max(part.start) - part.start, range.end - part.start);
            if let Content::Sparse(grains) = &mut part.content {
                let grain = (at - part.start) / grains.header.grain_len();
                let whole = grains.range_of(grain);
                let partly = start > whole.start || end < whole.end;
                if partly && how != Some(Erase::Absent) && grains.get(grain)? == Grain::Absent {
                    return Err(parents_bytes(at));
                }
            }
        }
        Ok(())
    }
}

impl Grains {
    /// Writes bytes of the extent from byte `offset` on.
    fn write(&mut self, bytes: &[u8], offset: u64) -> Result<()> {
        let mut rest = bytes;
        let mut at = offset;
        while !rest.is_empty() {
            let grain = at / self.header.grain_len();
            let whole = self.range_of(grain);
            let (here, after) = rest.split_at(usize_of(whole.end - at).min(rest.len()));
            match self.get(grain)? {
                Grain::Stored(sector) => self.write_into(sector, here, at - whole.start)?,
                Grain::Absent | Grain::Zeroed => self.write_new(grain, here, at - whole.start)?,
            }
            at += here.len() as u64;
            rest = after;
        }
        Ok(())
    }

    /// Writes bytes of the grain at `sector`, from its byte `within` on.
    fn write_into(&self, sector: u32, bytes: &[u8], within: u64) -> Result<()> {
        write_sectors(self.medium.as_ref(), bytes, byte_of(u64::from(sector)) + within)
    }

    /// Writes bytes of grain number `grain`, which is not stored: nothing leads to its place before they are there.
    fn write_new(&mut self, grain: u64, bytes: &[u8], within: u64) -> Result<()> {
        let sector = self.allocate()?;
        let written = self.write_into(sector, bytes, within).and_then(|()| self.set(grain, Grain::Stored(sector)));
        if written.is_err() {
            self.freed.push(sector);
        }
        written
    }
}

/// A length in memory.
pub(super) fn usize_of(len: u64) -> usize {
    usize::try_from(len).unwrap_or(usize::MAX)
}
