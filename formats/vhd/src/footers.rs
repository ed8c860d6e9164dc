//! Both footers of a file that is changed: at any moment, one of them is whole.

use imgfmt_core::{Halt, Medium, Result};

use crate::layout::{FOOTER_LEN, SECTOR_LEN};
use crate::patch::RawFooter;

/// The footer at the end of a file and its copy in front, which say the same.
#[derive(Clone, Debug)]
pub(crate) struct Footers {
    /// What they say.
    pub(crate) bytes: RawFooter,
    /// Where the one at the end is.
    pub(crate) end: u64,
    /// Whether there is a copy in front.
    pub(crate) has_front: bool,
    /// Stops all that would build on a footer which may be there or not.
    pub(crate) halt: Halt,
}

impl Footers {
    /// Puts the footer behind what will be written up to byte `end`. It counts from the moment at which it makes the file
    /// longer; where it was before may be written over once this is flushed.
    pub(crate) fn move_behind(&mut self, medium: &dyn Medium, end: u64) -> Result<()> {
        let old_len = medium.len();
        if let Err(error) = medium.write_at(&self.bytes.0, end) {
            // A part of it may be there: the file ends with the footer that was there before, or it is not known with which.
            drop(self.halt.on_error(medium.set_len(old_len)));
            return Err(error);
        }
        self.end = end;
        Ok(())
    }

    /// Makes both say `bytes`, in one step: the copy in front does not count until the one at the end has changed, for
    /// footers that are whole and differ would be two disks.
    pub(crate) fn switch(&mut self, medium: &dyn Medium, bytes: RawFooter) -> Result<()> {
        let halt = self.halt.clone();
        halt.on_error(self.switch_to(medium, bytes))
    }

    /// The same, where it goes well.
    fn switch_to(&mut self, medium: &dyn Medium, bytes: RawFooter) -> Result<()> {
        if !self.end.is_multiple_of(SECTOR_LEN) {
            // A footer across two sectors cannot change in one step.
            self.move_behind(medium, (self.end + FOOTER_LEN as u64).next_multiple_of(SECTOR_LEN))?;
        }
        medium.sync()?;
        // Where the medium goes on behind it, nobody sees the one at the end, and the one in front changes in one step.
        if self.has_front && self.end + FOOTER_LEN as u64 >= medium.len() {
            medium.write_at(&bytes.spoiled().0, 0)?;
            medium.sync()?;
        }
        medium.write_at(&bytes.0, self.end)?;
        medium.sync()?;
        if self.has_front {
            medium.write_at(&bytes.0, 0)?;
            medium.sync()?;
        }
        self.bytes = bytes;
        Ok(())
    }

    /// Ends the file with a footer at byte `end`, from which on nothing is in use, where that makes it shorter.
    pub(crate) fn trim(&mut self, medium: &dyn Medium, end: u64) -> Result<()> {
        let file_end = end + FOOTER_LEN as u64;
        if file_end > self.end {
            return Ok(());
        }
        medium.write_at(&self.bytes.0, end)?;
        medium.sync()?;
        medium.set_len(file_end)?;
        if medium.len() > file_end {
            // What ends a medium that keeps its length must not be a footer that is out of date one day.
            medium.clear(self.end..self.end + FOOTER_LEN as u64)?;
        }
        medium.sync()?;
        self.end = end;
        Ok(())
    }
}
