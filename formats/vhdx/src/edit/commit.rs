//! Putting what was changed into the file.
//!
//! | Step | What is written | A cut before its flush leaves |
//! |-----:|-----------------|-------------------------------|
//! | 1 | the log, under an identifier that no header names | what the last commit left |
//! | 2 | the header that does not count: it names the log | the header before, and no log |
//! | 3 | the changed sectors, in their places | the header of step 2, and its log, which is replayed |
//! | 4 | the header that does not count now: no log | the same |
//! | 5 | space is given back that nothing names now | space that is leaked |
//!
//! The flush of step 1 is also that of all guest data before it.

use imgfmt_core::Result;
use uuid::Uuid;

use super::state::State;
use crate::log;

impl State {
    /// Puts everything that was changed onto the medium.
    ///
    /// # Errors
    ///
    /// [`Io`](imgfmt_core::ErrorKind::Io): then nothing more can be changed.
    pub(super) fn commit(&mut self) -> Result<()> {
        self.check_failed()?;
        if self.journal.is_empty() {
            return self.medium.sync();
        }
        self.failed = true;
        self.put_in_place()?;
        self.journal.clear();
        self.give_back()?;
        self.failed = false;
        Ok(())
    }

    /// Commits, and leaves two headers that name no log.
    ///
    /// # Errors
    ///
    /// As [`commit`](Self::commit).
    pub(super) fn close(&mut self) -> Result<()> {
        self.commit()?;
        if self.begun { self.headers.update(self.medium.as_ref()) } else { Ok(()) }
    }

    /// Steps 1 to 4.
    fn put_in_place(&mut self) -> Result<()> {
        let medium = self.medium.as_ref();
        let guid = Uuid::new_v4();
        // The file may be cut down to this in step 5, while the older header still names the log.
        let mut after = self.space.clone();
        self.freed.iter().for_each(|range| after.release(range.clone()));
        let sectors = self.journal.sectors();
        let bytes = log::write::sequence(&sectors, guid, after.end().min(medium.len()));
        medium.write_at(&bytes, self.log.start)?;
        medium.sync()?;
        self.headers.name_log(guid);
        self.headers.update(medium)?;
        sectors.iter().try_for_each(|(at, bytes)| medium.write_at(bytes.as_slice(), *at))?;
        medium.sync()?;
        self.headers.forget_log();
        self.headers.update(medium)
    }

    /// Step 5.
    fn give_back(&mut self) -> Result<()> {
        if self.freed.is_empty() {
            return Ok(());
        }
        let freed = std::mem::take(&mut self.freed);
        freed.iter().for_each(|range| self.space.release(range.clone()));
        let end = self.space.end();
        for range in freed.into_iter().filter(|range| range.start < end) {
            self.medium.clear(range.start..range.end.min(self.medium.len()).max(range.start))?;
        }
        if end < self.medium.len() { self.medium.set_len(end) } else { Ok(()) }
    }
}
