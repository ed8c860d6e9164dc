//! Sectors of tables that are changed and not yet in the file.

use std::collections::BTreeMap;

use imgfmt_core::{Medium, Result, StorageExt};

use crate::layout::LOG_SECTOR_LEN;
use crate::log::write::Sector;

/// Sectors by their host bytes, as they will be.
#[derive(Debug, Default)]
pub(super) struct Journal {
    /// Those that differ from the file.
    changed: BTreeMap<u64, Box<[u8; LOG_SECTOR_LEN]>>,
    /// The sector that was read last, as the file has it.
    seen: Option<(u64, Box<[u8; LOG_SECTOR_LEN]>)>,
}

impl Journal {
    /// Whether nothing is changed.
    pub(super) fn is_empty(&self) -> bool {
        self.changed.is_empty()
    }

    /// How many sectors are changed.
    pub(super) fn len(&self) -> usize {
        self.changed.len()
    }

    /// The sectors that are changed.
    pub(super) fn sectors(&self) -> Vec<Sector<'_>> {
        self.changed.iter().map(|(at, bytes)| (*at, bytes.as_ref())).collect()
    }

    /// Forgets what was changed, and what was read of the file.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Forgets what was read of the file, which is changed without the journal.
    pub(super) fn forget_read(&mut self) {
        self.seen = None;
    }

    /// Reads what will be in the file from host byte `at` on.
    ///
    /// # Errors
    ///
    /// [`Io`](imgfmt_core::ErrorKind::Io).
    pub(super) fn read(&mut self, medium: &dyn Medium, buf: &mut [u8], at: u64) -> Result<()> {
        let mut done = 0;
        while done < buf.len() {
            let (sector, from, len) = part(at + done as u64, buf.len() - done);
            buf[done..done + len].copy_from_slice(&self.sector(medium, sector)?[from..from + len]);
            done += len;
        }
        Ok(())
    }

    /// Changes what will be in the file from host byte `at` on.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub(super) fn write(&mut self, medium: &dyn Medium, bytes: &[u8], at: u64) -> Result<()> {
        let mut done = 0;
        while done < bytes.len() {
            let (sector, from, len) = part(at + done as u64, bytes.len() - done);
            let (old, new) = (self.sector(medium, sector)?, &bytes[done..done + len]);
            if old[from..from + len] != *new {
                let mut changed = Box::new(*old);
                changed[from..from + len].copy_from_slice(new);
                self.changed.insert(sector, changed);
            }
            done += len;
        }
        Ok(())
    }

    /// The sector at host byte `at`.
    fn sector(&mut self, medium: &dyn Medium, at: u64) -> Result<&[u8; LOG_SECTOR_LEN]> {
        if self.changed.contains_key(&at) {
            return Ok(&self.changed[&at]);
        }
        let bytes = match self.seen.take() {
            Some((known, bytes)) if known == at => bytes,
            _ => {
                let mut bytes = Box::new([0; LOG_SECTOR_LEN]);
                // A table may end with the file, within a sector.
                medium.read_padded(bytes.as_mut_slice(), at)?;
                bytes
            }
        };
        Ok(&self.seen.insert((at, bytes)).1)
    }
}

/// The sector of host byte `at`, where in it that is, and how many of `len` bytes are in it.
fn part(at: u64, len: usize) -> (u64, usize, usize) {
    let from = usize::try_from(at % LOG_SECTOR_LEN as u64).unwrap_or(0);
    (at - from as u64, from, len.min(LOG_SECTOR_LEN - from))
}
