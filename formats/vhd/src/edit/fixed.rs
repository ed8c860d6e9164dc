//! Fixed disks: guest byte n is host byte n, and the only footer is behind them.

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use imgfmt_core::{Erase, Error, Image, ImageEditor, Medium, OpenContext, Preallocation, Result, write_zeros};

use super::{check_bounds, check_size};
use crate::footers::Footers;
use crate::layout::{FOOTER_LEN, SECTOR_LEN};
use crate::{NAME, open};

/// A fixed disk that is edited.
pub(super) struct FixedEditor<'a> {
    /// The file.
    medium: Arc<dyn Medium>,
    /// How it was opened.
    context: OpenContext<'a>,
    /// What changes with the size.
    state: Mutex<State>,
}

/// What changes with the size.
struct State {
    /// The footer.
    footers: Footers,
    /// Guest bytes.
    size: u64,
}

impl<'a> FixedEditor<'a> {
    /// An editor of the disk of `size` bytes in `medium`.
    pub(super) fn new(medium: Arc<dyn Medium>, context: OpenContext<'a>, footers: Footers, size: u64) -> Self {
        Self { medium, context, state: Mutex::new(State { footers, size }) }
    }

    /// The state: whole at any time, so a thread that panicked elsewhere does no harm.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the disk `size` bytes large.
    fn resize_to(&self, state: &mut State, size: u64, preallocation: Preallocation) -> Result<()> {
        check_size(state.size, size, preallocation)?;
        if !state.footers.end.is_multiple_of(SECTOR_LEN) {
            let what = "a fixed disk that does not end with a whole sector keeps its size: \
                        its footer could not change in one step";
            return Err(Error::unsupported(what).at(state.footers.end));
        }
        let medium = self.medium.as_ref();
        let old_end = state.footers.end;
        if size > old_end {
            // The same footer at the new end: still a disk of the old size, in a file that is longer.
            medium.sync()?;
            state.footers.move_behind(medium, size)?;
            medium.sync()?;
            if preallocation == Preallocation::Falloc {
                // Taking space may write, and the end of the file is the footer's.
                let taken = medium.reserve(old_end..size);
                taken.or_else(|error| state.footers.trim(medium, old_end).and(Err(error)))?;
            }
        }
        if size > state.size {
            self.make_zero(state.size..size.min(old_end + FOOTER_LEN as u64), size, preallocation)?;
        }
        let bytes = state.footers.bytes.with_size(size);
        state.footers.switch(medium, bytes)?;
        state.size = size;
        state.footers.trim(medium, size)
    }

    /// Makes zero what comes to a disk of `size` bytes: where there was something, or all of it where zeros are wanted.
    fn make_zero(&self, old: Range<u64>, size: u64, preallocation: Preallocation) -> Result<()> {
        match preallocation {
            Preallocation::Full => write_zeros(self.medium.as_ref(), old.start..size),
            Preallocation::Falloc => write_zeros(self.medium.as_ref(), old),
            Preallocation::Off | Preallocation::Metadata => self.medium.clear(old),
        }
    }
}

impl ImageEditor for FixedEditor<'_> {
    fn image(&self) -> Result<Box<dyn Image>> {
        let _unchanged = self.lock();
        Ok(open::open(Arc::clone(&self.medium) as _, &self.context).map_err(|e| e.in_format(NAME))?.image)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        let state = self.lock();
        check_bounds(&(offset..offset.saturating_add(bytes.len() as u64)), state.size)
            .map_err(|e| e.in_format(NAME))?;
        self.medium.write_at(bytes, offset)
    }

    fn erase(&self, range: Range<u64>, how: Erase) -> Result<()> {
        let state = self.lock();
        check_bounds(&range, state.size).map_err(|e| e.in_format(NAME))?;
        match how {
            Erase::Zero | Erase::Absent => self.medium.clear(range),
            Erase::ZeroKeepSpace => write_zeros(self.medium.as_ref(), range),
        }
    }

    fn resize(&self, size: u64, preallocation: Preallocation) -> Result<()> {
        self.resize_to(&mut self.lock(), size, preallocation).map_err(|e| e.in_format(NAME))
    }

    fn flush(&self) -> Result<()> {
        let _unchanged = self.lock();
        self.medium.sync()
    }

    fn close(self: Box<Self>) -> Result<()> {
        self.flush()
    }
}
