//! Fixed disks: their length is all that there is besides the footer.

use imgfmt_core::{Finding, Repair, Severity};

use super::{Look, corruption};
use crate::copies::{Chosen, WRONG_CHECKSUM};
use crate::layout::{FOOTER_LEN, SECTOR_LEN};
use crate::patch::RawFooter;

impl Look<'_> {
    /// Looks at a fixed disk of `size` bytes.
    pub(super) fn at_fixed(&mut self, chosen: &Chosen, size: u64) {
        let end = chosen.data_end;
        if size > end {
            let what = format!("the disk has {size} bytes, but data ends at byte {end}");
            return self.tell(corruption("vhd-fixed-short", what, end));
        }
        let bytes = RawFooter::read(self.storage, chosen.at).map(RawFooter::summed).ok();
        if chosen.note == Some(WRONG_CHECKSUM)
            && self.tell_mended_by(Repair::All, corruption("vhd-footer-checksum", WRONG_CHECKSUM, chosen.at))
        {
            self.plan.end = bytes.map(|bytes| (chosen.at, bytes));
        }
        // Programs that go by the other field may have data up to there.
        let used = size.max(chosen.footer.current_size).max(size_by_geometry(chosen, end));
        if used.next_multiple_of(SECTOR_LEN) + FOOTER_LEN as u64 > end || self.plan.cut.is_some() {
            return;
        }
        let what = format!("{} bytes lie between the end of the disk and the footer", end - used);
        if self.tell_mended_by(Repair::Leaks, Finding::new("vhd-space-unused", Severity::Leak, what).at(used)) {
            self.plan.trim = bytes.map(|bytes| (used.next_multiple_of(SECTOR_LEN), bytes));
        }
    }
}

/// The bytes that the geometry says the disk has, where the file has as many.
fn size_by_geometry(chosen: &Chosen, end: u64) -> u64 {
    Some(chosen.footer.geometry.size()).filter(|size| *size <= end).unwrap_or(0)
}
