//! Space that nothing uses.

use std::ops::Range;

use imgfmt_core::{Finding, Repair, Result, Severity, Storage};

use super::Look;
use super::blocks::Table;
use crate::copies::START_ALONE;
use crate::layout::SECTOR_LEN;
use crate::patch::RawFooter;
use crate::space;

impl Look<'_> {
    /// Looks for space as large as a block, or larger, that nothing uses. Less is padding; and what is zero between blocks takes
    /// no space that could be given back.
    pub(super) fn at_unused(&mut self, table: &Table<'_>) -> Result<()> {
        let (chosen, stride) = (table.chosen, table.grid.stride());
        let gaps = space::gaps_of_whole(&table.structures, &table.entries, table.grid, chosen.data_end);
        // Where a footer has to be written first, what leads to it decides.
        let least = if chosen.note.is_some() { Repair::All } else { Repair::Leaks };
        for gap in gaps {
            let is_last = gap.end == chosen.data_end;
            if is_last && chosen.note.is_none() && chosen.is_open_ended(self.storage) {
                // It is the rest of the device.
                continue;
            }
            let gap = if is_last { gap.start.max(table.used_end())..gap.end } else { gap };
            if gap.end < gap.start.saturating_add(stride) || (!is_last && is_zero(self.storage, &gap)?) {
                continue;
            }
            let what = format!("{} bytes are in no use, room for {} blocks", len(&gap), len(&gap) / stride);
            let mend = self.tell_mended_by(least, Finding::new("vhd-space-unused", Severity::Leak, what).at(gap.start));
            if mend && !is_last {
                self.plan.clear.push(gap);
            } else if mend && chosen.note != Some(START_ALONE) {
                let bytes = RawFooter::read(self.storage, chosen.at)?.summed();
                self.plan.trim = Some((gap.start.next_multiple_of(SECTOR_LEN), bytes));
            }
        }
        Ok(())
    }
}

/// Bytes of `range`.
fn len(range: &Range<u64>) -> u64 {
    range.end - range.start
}

/// Whether all bytes of `range` are zero.
fn is_zero(storage: &dyn Storage, range: &Range<u64>) -> Result<bool> {
    let mut buf = vec![0; READ_LEN];
    let mut next = range.start;
    while next < range.end {
        let segment = storage.segment(next)?;
        let mut end = next.saturating_add(segment.len.get()).min(range.end);
        if !segment.hole {
            end = end.min(next + READ_LEN as u64);
            let part = &mut buf[..usize::try_from(end - next).unwrap_or(READ_LEN)];
            storage.read_at(part, next)?;
            if part.iter().any(|byte| *byte != 0) {
                return Ok(false);
            }
        }
        next = end;
    }
    Ok(true)
}

/// Bytes that are read at once.
const READ_LEN: usize = 64 << 10;
