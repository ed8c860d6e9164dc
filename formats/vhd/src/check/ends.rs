//! The footer at the end, and its copy in front.

use imgfmt_core::{Error, Repair, Result, Storage, StorageExt};

use super::blocks::Seen;
use super::{Look, corruption, warning};
use crate::copies::{self, Chosen, END_ALONE, END_DAMAGED, START_ALONE, START_DAMAGED, WRONG_CHECKSUM, Wanted};
use crate::footer::{DiskType, Footer};
use crate::layout::{FEATURES_AT, FEATURES_RESERVED, FOOTER_LEN, OLD_FOOTER_LEN, SAVED_STATE_AT, SECTOR_LEN};
use crate::open::{self, IGNORE_CHECKSUMS};
use crate::patch::RawFooter;

impl Look<'_> {
    /// Finds the footer that counts.
    ///
    /// # Errors
    ///
    /// Where none can be read: nothing is known of the file then.
    pub(super) fn at_footers(&mut self) -> Result<Chosen> {
        let wanted = open::wanted(self.context)?;
        let ignore = self.context.options.flag(IGNORE_CHECKSUMS, false)?;
        let chosen = match copies::choose(self.storage, wanted, ignore) {
            Ok(chosen) => chosen,
            Err(error) => self.another_footer(error)?,
        };
        let (footer, at) = (chosen.footer, chosen.at);
        if footer.features & FEATURES_RESERVED == 0 {
            let what = "Features lacks the bit that is always set";
            self.tell(warning("vhd-footer-features", what, at + FEATURES_AT as u64));
        }
        if footer.saved_state {
            let what = "a machine that uses the disk is asleep: changes will confuse it";
            self.tell(warning("vhd-saved-state", what, at + SAVED_STATE_AT as u64));
        }
        if chosen.data_end.saturating_add(OLD_FOOTER_LEN as u64) == self.storage.len() {
            let what = "the footer has 511 bytes, as before Virtual PC 2004; not all readers know that";
            self.tell(warning("vhd-footer-short", what, chosen.data_end));
        }
        if footer.disk_type != DiskType::Fixed && chosen.note.is_none() && !chosen.is_open_ended(self.storage) {
            let front = RawFooter::read(self.storage, 0)?;
            if front != RawFooter::read(self.storage, chosen.data_end)? {
                let what = "the footer and its copy in front differ in fields that readers do not rely on";
                self.tell(warning("vhd-footers-unequal", what, 0));
            }
        }
        Ok(chosen)
    }

    /// A footer to go on with where opening fails for want of one.
    fn another_footer(&mut self, error: Error) -> Result<Chosen> {
        let by = |wanted, ignore| copies::choose(self.storage, wanted, ignore);
        if let (Ok(end), Ok(_)) = (by(Wanted::End, false), by(Wanted::Start, false)) {
            let what = "the footer and its copy in front are both whole and differ: this could be two disks";
            self.tell(corruption("vhd-footers-differ", what, end.at));
            return Ok(Chosen { note: None, ..end });
        }
        if let Some(chosen) = followed(self.storage)? {
            let end = chosen.at + FOOTER_LEN as u64;
            let what = format!("{} bytes follow the footer, which has to be the last", self.storage.len() - end);
            if self.tell_mended_by(Repair::All, corruption("vhd-footer-followed", what, end)) {
                self.plan.cut = Some(end);
            }
            return Ok(chosen);
        }
        let Ok(chosen) = by(Wanted::Any, true) else { return Err(error) };
        // Nothing says that the rest of it is right.
        let what = "the checksum of the only footer is wrong, and nothing bears it out";
        self.tell(corruption("vhd-footer-checksum", what, chosen.at));
        Ok(Chosen { note: None, ..chosen })
    }

    /// Tells what is wrong with the footers of a disk with a table, of which `seen` is known, and how that is mended.
    pub(super) fn at_ends(&mut self, chosen: &Chosen, seen: Option<&Seen>) {
        let Some(note) = chosen.note else { return };
        let Ok(bytes) = RawFooter::read(self.storage, chosen.at).map(RawFooter::summed) else { return };
        let front_is_free =
            chosen.footer.data_offset >= FOOTER_LEN as u64 && seen.is_none_or(|seen| seen.front_is_free);
        let id = match note {
            END_ALONE => "vhd-footer-front-missing",
            START_DAMAGED => "vhd-footer-front-damaged",
            START_ALONE => "vhd-footer-end-missing",
            END_DAMAGED => "vhd-footer-end-damaged",
            WRONG_CHECKSUM => "vhd-footer-checksum",
            _ => return,
        };
        let at = if [END_ALONE, START_DAMAGED].contains(&note) { 0 } else { chosen.data_end };
        let finding = corruption(id, note, at);
        let front = [END_ALONE, START_DAMAGED, WRONG_CHECKSUM].contains(&note);
        if front && !front_is_free {
            return self.tell(finding);
        }
        if !self.tell_mended_by(Repair::All, finding) {
            return;
        }
        self.plan.front = front.then_some(bytes);
        match note {
            END_DAMAGED | WRONG_CHECKSUM => self.plan.end = Some((chosen.data_end, bytes)),
            START_ALONE => {
                // What lies behind all that is in use is a write that was cut; where not all of it is there, nothing is cut.
                let whole = seen.filter(|seen| !seen.is_cut).map(|seen| seen.used_end);
                let at = whole.unwrap_or(self.storage.len()).next_multiple_of(SECTOR_LEN);
                self.plan.end = Some((at, bytes));
                self.plan.cut = Some(at + FOOTER_LEN as u64);
            }
            _ => {}
        }
    }
}

/// The footer of a fixed disk that bytes follow: its size says where it is.
fn followed(storage: &dyn Storage) -> Result<Option<Chosen>> {
    let last = storage.len() / SECTOR_LEN;
    for sector in (last.saturating_sub(FOLLOWED_SECTORS)..last).rev() {
        let at = sector * SECTOR_LEN;
        let Ok(bytes) = storage.read_array::<FOOTER_LEN>(at) else { continue };
        let footer = Footer::parse(&bytes).ok().filter(|footer| footer.checksum_ok);
        let Some(footer) = footer.filter(|footer| footer.disk_type == DiskType::Fixed) else { continue };
        if footer.current_size == at {
            return Ok(Some(Chosen { footer, at, data_end: at, note: None }));
        }
    }
    Ok(None)
}

/// How far in front of the end of the file a footer is looked for: 1 MiB.
const FOLLOWED_SECTORS: u64 = 2048;
