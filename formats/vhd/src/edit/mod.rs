//! Editing in place.
//!
//! Nothing that is in use is written over but by guest bytes of the same place. What is new is put where nothing is in use
//! and flushed before anything leads to it; what leads to it is changed within one sector. Footers change as
//! [`Footers`] says.

mod blocks;
mod fixed;
mod parent;
mod place;
mod put;
mod resize;

use std::ops::Range;
use std::sync::Arc;

use imgfmt_core::{Edit, Error, Halt, ImageEditor, Medium, OpenContext, Preallocation, Result};

use crate::copies::{self, Chosen, START_ALONE};
use crate::footer::DiskType;
use crate::footers::Footers;
use crate::layout::{MAX_SECTORS, SECTOR_LEN};
use crate::patch::RawFooter;
use crate::{NAME, Vhd, open};

impl Edit for Vhd {
    fn edit<'a>(&self, medium: Arc<dyn Medium>, context: &OpenContext<'a>) -> Result<Box<dyn ImageEditor + 'a>> {
        start(medium, context).map_err(|e| e.in_format(NAME))
    }
}

/// Starts to edit the disk in `medium`.
fn start<'a>(medium: Arc<dyn Medium>, context: &OpenContext<'a>) -> Result<Box<dyn ImageEditor + 'a>> {
    let halt = Halt::default();
    let medium = halt.guard(medium);
    let (chosen, footers, size) = whole(&medium, context, halt)?;
    match chosen.footer.disk_type {
        DiskType::Fixed => Ok(Box::new(fixed::FixedEditor::new(medium, *context, footers, size))),
        DiskType::Dynamic | DiskType::Differencing => {
            Ok(Box::new(blocks::BlockEditor::new(medium, *context, &chosen.footer, footers, size)?))
        }
    }
}

/// The footers and the size of a disk that is whole: one that opens, and of which nothing has to be repaired first.
/// `halt` stops changes of `medium`.
fn whole(medium: &Arc<dyn Medium>, context: &OpenContext<'_>, halt: Halt) -> Result<(Chosen, Footers, u64)> {
    let size = open::open(Arc::clone(medium) as _, context)?.image.size();
    let chosen = copies::choose(medium.as_ref(), open::wanted(context)?, false)?;
    let stays_open = chosen.is_open_ended(medium.as_ref()) && medium.kept_len().is_some();
    if let Some(note) = chosen.note.filter(|note| !(stays_open && *note == START_ALONE)) {
        return Err(Error::malformed(format!("the disk has to be repaired before it is changed: {note}")).at(chosen.at));
    }
    let mut footers = Footers {
        bytes: RawFooter::read(medium.as_ref(), chosen.at)?,
        end: chosen.data_end,
        has_front: chosen.footer.disk_type != DiskType::Fixed,
        halt,
    };
    if stays_open {
        // The medium goes on behind the disk, whose footer follows what is in use.
        let disk = blocks::Disk::new(medium, &chosen.footer, footers.clone(), size)?;
        footers.end = disk.used_end()?;
    }
    Ok((chosen, footers, size))
}

/// Checks that a disk can be made `size` bytes large, from `old` bytes.
fn check_size(old: u64, size: u64, preallocation: Preallocation) -> Result<()> {
    if !size.is_multiple_of(SECTOR_LEN) {
        return Err(Error::invalid(format!("a VHD has whole sectors of {SECTOR_LEN} bytes, and {size} are none")));
    }
    if size > MAX_SECTORS * SECTOR_LEN {
        return Err(Error::invalid(format!("{size} bytes are more than a VHD can have: 2040 GiB")));
    }
    if size < old && preallocation != Preallocation::Off {
        return Err(Error::invalid("preallocation is for disks that grow"));
    }
    Ok(())
}

/// Checks that guest `range` lies within a disk of `size` bytes.
fn check_bounds(range: &Range<u64>, size: u64) -> Result<()> {
    if range.start <= range.end && range.end <= size {
        return Ok(());
    }
    Err(Error::out_of_bounds(format!("bytes {range:?} are meant, but the disk has {size}")).at(range.start))
}
