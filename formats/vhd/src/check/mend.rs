//! What is mended, in an order in which one footer is whole at any moment.

use std::ops::Range;

use imgfmt_core::{Medium, Result};

use crate::layout::FOOTER_LEN;
use crate::patch::{RawFooter, RawHeader};

/// What is to be mended.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// A header with the right checksum, and where it is.
    pub(super) header: Option<(u64, RawHeader)>,
    /// The copy of the footer in front.
    pub(super) front: Option<RawFooter>,
    /// The footer at the end, and where it goes.
    pub(super) end: Option<(u64, RawFooter)>,
    /// Where the file is to end, behind a footer.
    pub(super) cut: Option<u64>,
    /// What nothing uses and lies between blocks.
    pub(super) clear: Vec<Range<u64>>,
    /// A footer, and where it goes to make the file shorter.
    pub(super) trim: Option<(u64, RawFooter)>,
}

impl Plan {
    /// Does all of it.
    pub(super) fn carry_out(&self, medium: &dyn Medium) -> Result<()> {
        if let Some((at, header)) = &self.header {
            medium.write_at(header.first_sector(), *at)?;
            medium.sync()?;
        }
        if let Some(front) = &self.front {
            medium.write_at(&front.0, 0)?;
            medium.sync()?;
        }
        if let Some((at, end)) = &self.end {
            medium.write_at(&end.0, *at)?;
            medium.sync()?;
        }
        if let Some(end) = self.cut {
            medium.set_len(end)?;
            medium.sync()?;
        }
        if !self.clear.is_empty() {
            self.clear.iter().try_for_each(|range| medium.clear(range.clone()))?;
            medium.sync()?;
        }
        if let Some((at, footer)) = &self.trim {
            medium.write_at(&footer.0, *at)?;
            medium.sync()?;
            medium.set_len(*at + FOOTER_LEN as u64)?;
            medium.sync()?;
        }
        Ok(())
    }
}
