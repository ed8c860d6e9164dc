//! Blocks that share bytes with another one.

use imgfmt_core::{Findings, Repair, Result, StorageExt};

use super::Mend;
use super::table::{Shared, Walk};
use crate::layout::{ALIGN, BAT_OFFSET_MASK};
use crate::space::Space;

impl Walk<'_> {
    /// Tells of blocks that share bytes with one that was found before. Each gets a copy of its own behind the end of
    /// the file, so that writing to one no longer changes the other; as long as that does not double the file.
    ///
    /// # Errors
    ///
    /// [`Io`](imgfmt_core::ErrorKind::Io).
    pub(super) fn look_at_shared(&mut self, mend: Option<Mend<'_>>, findings: &mut Findings) -> Result<()> {
        let shared = std::mem::take(&mut self.shared);
        let mut room = self.storage.len();
        // What entries that are wrong in other ways may mean is not written over.
        let mut behind = self.space.clone();
        if !shared.is_empty() {
            behind.claim(0..room);
        }
        for block in shared {
            let finding = self.shared_finding(&block.entry, block.clash);
            let Some(left) = room.checked_sub(block.len) else {
                self.tell(finding, findings);
                continue;
            };
            room = left;
            match mend {
                Some(mend) => self.move_copy(&block, &mut behind, mend)?,
                None => self.set_damaged(),
            }
            findings.push(finding.mended_by(Repair::All).fixed(mend.is_some()));
        }
        Ok(())
    }

    /// Gives a block a copy of its bytes in a place of its own.
    fn move_copy(&mut self, block: &Shared, behind: &mut Space, mend: Mend<'_>) -> Result<()> {
        let (from, to) = (block.entry.value & BAT_OFFSET_MASK, behind.allocate(block.len));
        mend.medium.set_len(to + block.len)?;
        let mut done = 0;
        while done < block.stored {
            let len = (block.stored - done).min(ALIGN);
            let bytes = self.storage.read_vec(from + done, usize::try_from(len).unwrap_or(0))?;
            mend.medium.write_at(&bytes, to + done)?;
            done += len;
        }
        mend.medium.sync()?;
        // An entry lies within a sector, which is written or not.
        let value = block.entry.value & !BAT_OFFSET_MASK | to;
        mend.medium.write_at(&value.to_le_bytes(), self.bat.entry_at(block.entry.index))?;
        mend.medium.sync()?;
        self.space.claim(to..to + block.len);
        Ok(())
    }
}
