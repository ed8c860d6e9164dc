//! Room for more entries.

use imgfmt_core::{Error, Result};

use super::Disk;
use crate::header::entry_at;
use crate::layout::{DATA_OFFSET_AT, SECTOR_LEN};

impl Disk {
    /// Gives the BAT room for `entries` entries, which lead nowhere where they are new, and puts all that onto the medium. Returns the
    /// `data_off` that goes with them.
    ///
    /// The BAT lies in front of the clusters: where there is no room left, the first ones move away.
    ///
    /// # Errors
    ///
    /// What moving a cluster says.
    pub(crate) fn make_room(&mut self, entries: u32) -> Result<u32> {
        let (from, end) = (self.header.bat_end(), entry_at(u64::from(entries)));
        let mut start = self.header.data_start();
        if end > start {
            start = self.header.next_place(end);
            self.vacate(start)?;
        }
        if end > from {
            if self.storage().len() < start {
                self.medium.set_len(start)?;
            }
            self.medium.clear(from..start)?;
        }
        self.medium.sync()?;
        data_offset(start)
    }

    /// Moves away what lies in front of byte `start`, and puts that onto the medium.
    fn vacate(&mut self, start: u64) -> Result<()> {
        self.flush()?;
        self.free = self.free.split_off(&start);
        self.end = self.end.max(start);
        let mut found = self.places_of(0..u64::from(self.header.entries))?;
        found.retain(|(_, host)| *host < start);
        self.move_away(&found)?;
        self.medium.sync()
    }
}

/// The `data_off` for clusters from byte `start` on.
pub(crate) fn data_offset(start: u64) -> Result<u32> {
    let sectors = u32::try_from(start / SECTOR_LEN);
    sectors.map_err(|_| Error::limit("leads too far away").field("data_off").at(DATA_OFFSET_AT as u64))
}
