//! Erasing guest bytes.

use std::ops::Range;

use imgfmt_core::{Erase, Error, Result};

use super::grains::{Grain, Grains};
use super::sectors::zero;
use super::state::{Content, State};
use crate::layout::byte_of;

impl State {
    /// Makes the guest bytes of `range` read as `how` says.
    pub(super) fn erase(&mut self, range: Range<u64>, how: Erase) -> Result<()> {
        self.check_range(&range)?;
        if how == Erase::Absent {
            self.check_whole(&range)?;
        }
        self.check_edges(&range, Some(how))?;
        let has_parent = self.has_parent;
        self.each_part(range, |state, number, within| {
            state.begin(number)?;
            match &mut state.parts[number].content {
                Content::Flat { medium, host } => {
                    let range = *host + within.start..*host + within.end;
                    zero(state.media[*medium].as_ref(), range, how == Erase::ZeroKeepSpace)
                }
                Content::Sparse(grains) => grains.erase(within, how, has_parent),
            }
        })
    }

    /// Checks that `range` consists of whole grains.
    fn check_whole(&mut self, range: &Range<u64>) -> Result<()> {
        self.each_part(range.clone(), |state, number, within| match &state.parts[number].content {
            Content::Sparse(grains) => {
                let len = grains.header.grain_len();
                let whole = within.end.is_multiple_of(len) || within.end == grains.size;
                if within.start.is_multiple_of(len) && whole {
                    return Ok(());
                }
                Err(Error::invalid(format!("only whole grains of {len} bytes can be left to the parent")))
            }
            Content::Flat { .. } => Ok(()),
        })
    }
}

impl Grains {
    /// Erases bytes of the extent.
    fn erase(&mut self, range: Range<u64>, how: Erase, has_parent: bool) -> Result<()> {
        let mut at = range.start;
        while at < range.end {
            let grain = at / self.header.grain_len();
            let whole = self.range_of(grain);
            let changes_nothing = how == Erase::Absent || !has_parent;
            let absent = if changes_nothing { self.absent_run(grain)? } else { 0 };
            if absent > 0 {
                at = self.range_of(grain + absent - 1).end.min(range.end);
                continue;
            }
            let end = whole.end.min(range.end);
            if at == whole.start && end == whole.end {
                self.erase_whole(grain, how, has_parent)?;
            } else if let Grain::Stored(sector) = self.get(grain)? {
                let host = byte_of(u64::from(sector));
                zero(
                    self.medium.as_ref(),
                    host + (at - whole.start)..host + (end - whole.start),
                    how == Erase::ZeroKeepSpace,
                )?;
            }
            at = end;
        }
        Ok(())
    }

    /// Erases a whole grain.
    fn erase_whole(&mut self, grain: u64, how: Erase, has_parent: bool) -> Result<()> {
        let found = self.get(grain)?;
        let zeroed = if self.has_zeroed() { Some(Grain::Zeroed) } else { (!has_parent).then_some(Grain::Absent) };
        let (keeps, new) = match (how, found) {
            (Erase::Absent, _) => (false, Some(Grain::Absent)),
            (Erase::ZeroKeepSpace, Grain::Stored(_)) => (true, None),
            // Without a parent there is nothing to hide.
            (_, Grain::Absent) if !has_parent => return Ok(()),
            (_, Grain::Zeroed) => return Ok(()),
            _ => (false, zeroed),
        };
        match (found, new) {
            (Grain::Stored(sector), Some(new)) => {
                self.set(grain, new)?;
                self.give_up(sector)
            }
            (_, Some(new)) => self.set(grain, new),
            (Grain::Stored(sector), None) => {
                let (host, len) = (byte_of(u64::from(sector)), self.range_of(grain));
                zero(self.medium.as_ref(), host..host + (len.end - len.start), keeps)
            }
            (_, None) => {
                let sector = self.allocate()?;
                self.set(grain, Grain::Stored(sector))
            }
        }
    }
}
