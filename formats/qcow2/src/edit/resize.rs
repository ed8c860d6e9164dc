//! Larger and smaller disks.

use std::ops::Range;
use std::sync::Arc;

use imgfmt_core::{Erase, Error, ErrorKind, Limits, Medium, Preallocation, Result, write_zeros};

use super::disk::Disk;
use super::flush::bytes_of;
use crate::layout::{COPIED, MAX_L1_LEN, OFFSET_MASK, SUBCLUSTERS_STORED, TABLE_ENTRY_LEN, VERSION_2};

impl Disk<'_> {
    /// Makes the disk `size` bytes large.
    ///
    /// # Errors
    ///
    /// As [`ImageEditor::resize`](imgfmt_core::ImageEditor::resize).
    pub(super) fn resize(&mut self, size: u64, preallocation: Preallocation) -> Result<()> {
        self.check_resize(size, self.header.version)?;
        let before = self.size;
        if size == before {
            return Ok(());
        }
        // What the guest had stays, and what comes to it is zero: bitmaps have nothing to record.
        self.record.pause(true);
        let done = if size < before { self.shrink(size) } else { self.grow(size, preallocation) };
        self.record.pause(false);
        done
    }

    /// Refuses sizes that the disk cannot have in an image of `version`.
    ///
    /// # Errors
    ///
    /// As [`resize`](Self::resize).
    pub(super) fn check_resize(&self, size: u64, version: u32) -> Result<()> {
        Limits::check("size", size, self.context.limits.virtual_size.min(i64::MAX as u64))?;
        if size == self.size {
            return Ok(());
        }
        if self.header.nb_snapshots > 0 && version == VERSION_2 {
            let what = "an image of version 2 that has internal snapshots keeps its size; delete them, or amend it to \
                        compat=1.1 first";
            return Err(Error::unsupported(what));
        }
        self.record.check_resizable()
    }

    /// Refuses to go on behind a last cluster that is in part the parent's, where that has bytes behind the end of the disk.
    ///
    /// # Errors
    ///
    /// [`Missing`](ErrorKind::Missing), and what reading tables meets.
    pub(super) fn check_end(&mut self, size: u64) -> Result<()> {
        let (end, unit) = (self.size, self.cluster().len());
        if size > end && end % unit != 0 && self.is_hidden(end) && self.words(end - end % unit)? == [0, 0] {
            let what = format!(
                "guest bytes {}..{end} are in the parent, and its bytes behind them would show",
                end - end % unit
            );
            return Err(Error::new(ErrorKind::Missing, what));
        }
        Ok(())
    }

    /// Whether the layer below may have bytes behind guest byte `end`, which must not show.
    fn is_hidden(&self, end: u64) -> bool {
        self.has_parent && self.parent_size > end
    }

    /// Makes the disk smaller: first it says so, then what lay behind is given up.
    fn shrink(&mut self, size: u64) -> Result<()> {
        self.flush()?;
        let before = self.size;
        self.size = size;
        let told = self.switch_size(before);
        self.size = before;
        told?;
        let unit = self.cluster().len();
        let first = size.next_multiple_of(unit);
        let erased = if first < before { self.erase(first..before, Erase::Absent) } else { Ok(()) };
        self.size = size;
        erased?;
        self.drop_tables(size);
        self.flush()?;
        match self.raw_data().filter(|data| data.len() > size) {
            Some(data) => data.set_len(size),
            None => Ok(()),
        }
    }

    /// The data file, where it alone is the disk: what is in it, the disk has.
    fn raw_data(&self) -> Option<&Arc<dyn Medium>> {
        self.data.as_ref().filter(|_| self.header.features.data_file_raw())
    }

    /// Gives each cluster from guest byte `from` to `to` its place in the data file, as it is there.
    fn place_new(&mut self, from: u64, to: u64) -> Result<()> {
        let unit = self.cluster().len();
        let mut guest = from - from % unit;
        while guest < to {
            if self.words(guest)? == [0, 0] {
                let words = self.stored_words(guest);
                self.set_words(guest, words)?;
            }
            self.flush_if_large()?;
            guest += unit;
        }
        Ok(())
    }

    /// Gives up the tables that cover nothing of a disk of `size` bytes, and are empty.
    fn drop_tables(&mut self, size: u64) {
        let kept = usize::try_from(size.div_ceil(1 << self.header.l2.span_bits())).unwrap_or(usize::MAX);
        for index in kept..self.l1.len() {
            let host = std::mem::take(&mut self.l1[index]) & OFFSET_MASK;
            if host != 0 {
                self.l2.remove(&index);
                self.give_up(host >> self.cluster().bits());
                self.l1_dirty = true;
            }
        }
    }

    /// Makes the disk larger: what comes to it is zero before it does.
    fn grow(&mut self, size: u64, preallocation: Preallocation) -> Result<()> {
        let before = self.size;
        self.zero_tail(before)?;
        self.make_room_in_l1(size)?;
        self.flush()?;
        if let Some(data) = &self.data
            && data.len() < size
        {
            data.set_len(size)?;
            data.sync()?;
        }
        self.size = size;
        let done = self.fill_and_tell(before, size, preallocation);
        if done.is_err() {
            self.size = before;
            // Where that fails, too, the image is left as it is: what went wrong before is what is told.
            self.failed |= self.undo_growth(before).is_err();
        }
        done
    }

    /// Gives up what has been put behind the end of the disk, at guest byte `end`, and of which nothing tells.
    fn undo_growth(&mut self, end: u64) -> Result<()> {
        self.places = Places::default();
        self.zero_tail(end)?;
        self.drop_tables(end);
        self.flush()
    }

    /// Fills what comes to the disk, where it has to be, and then says that the disk is larger.
    fn fill_and_tell(&mut self, before: u64, size: u64, preallocation: Preallocation) -> Result<()> {
        // With a parent, what comes to the disk would be the parent's. It has to be zero when the header says that it is there.
        if self.raw_data().is_some() && matches!(preallocation, Preallocation::Off | Preallocation::Metadata) {
            self.place_new(before, size)?;
        } else if preallocation != Preallocation::Off {
            self.fill_new(before, size, preallocation)?;
        } else if self.is_hidden(before) {
            let hidden = self.parent_size.checked_next_multiple_of(self.cluster().len()).unwrap_or(u64::MAX);
            self.fill_new(before, size.min(hidden), preallocation)?;
        }
        self.flush()?;
        self.switch_size(before)
    }

    /// Makes what lies behind the end of the disk, in its last cluster and in tables, zero: a disk that was made smaller may
    /// have left something there.
    fn zero_tail(&mut self, end: u64) -> Result<()> {
        let unit = self.cluster().len();
        let whole = end.next_multiple_of(unit);
        let covered = (self.l1.len() as u64).checked_shl(self.header.l2.span_bits()).unwrap_or(u64::MAX);
        let within = covered.min(i64::MAX as u64);
        let before = std::mem::replace(&mut self.size, within.max(end));
        let done = self.zero_from(end, whole, within);
        self.size = before;
        done
    }

    /// Makes what lies from `end` on zero, up to `whole` in one cluster and up to `within` by its entries.
    fn zero_from(&mut self, end: u64, whole: u64, within: u64) -> Result<()> {
        if whole > end && whole <= within {
            let words = self.words(end)?;
            if words[0] != 0 || words[1] != 0 {
                self.erase(end..whole, Erase::Zero)?;
            }
        }
        let tables: Vec<usize> = (0..self.l1.len()).filter(|index| self.l1[*index] & OFFSET_MASK != 0).collect();
        for index in tables {
            let bits = self.header.l2.span_bits();
            let range = ((index as u64) << bits).max(whole)..((index as u64 + 1) << bits).min(within);
            if range.start < range.end {
                self.erase(range, Erase::Absent)?;
            }
        }
        Ok(())
    }

    /// Makes the L1 table long enough for a disk of `size` bytes. A new one is on the medium before the header names it.
    fn make_room_in_l1(&mut self, size: u64) -> Result<()> {
        let needed = size.div_ceil(1 << self.header.l2.span_bits());
        Limits::check("l1_size", needed * TABLE_ENTRY_LEN, MAX_L1_LEN)?;
        let needed = usize::try_from(needed).unwrap_or(usize::MAX);
        if needed <= self.l1.len() {
            return Ok(());
        }
        let unit = self.cluster().len();
        let (old_host, old_len) = (self.l1_host, self.l1.len() as u64 * TABLE_ENTRY_LEN);
        let clusters = (needed as u64 * TABLE_ENTRY_LEN).div_ceil(unit);
        let host = self.take_run(clusters)?;
        self.l1.resize(needed, 0);
        let mut bytes = bytes_of(&self.l1);
        bytes.resize(bytes.len().next_multiple_of(self.cluster().in_memory()), 0);
        self.medium.write_at(&bytes, host)?;
        self.write_counts()?;
        self.write_tables_but_l1()?;
        self.l1_host = host;
        self.l1_dirty = false;
        self.medium.write_at(&bytes_of(&self.l1), host)?;
        self.medium.sync()?;
        self.write_header()?;
        if old_len > 0 {
            self.give_up_bytes(old_host, old_len);
        }
        Ok(())
    }

    /// Fills the new part of the disk.
    fn fill_new(&mut self, from: u64, to: u64, preallocation: Preallocation) -> Result<()> {
        let unit = self.cluster().len();
        let mut guest = from - from % unit;
        while guest < to {
            let end = (guest + unit).min(to);
            if guest < from {
                // The last cluster of the smaller disk has been zeroed behind its end, where it is stored.
                let words = self.words(guest)?;
                if words == [0, 0] && self.is_hidden(from) {
                    return Err(Error::unsupported(
                        "the last cluster is in part the parent's, and cannot be made to end there; give the image a parent \
                         that is no shorter, or a size in whole clusters",
                    ));
                }
            } else {
                self.fill_cluster(guest, end, preallocation)?;
            }
            self.flush_if_large()?;
            guest = end;
        }
        Ok(())
    }

    /// Makes a new cluster zero, with a place where that is wanted.
    fn fill_cluster(&mut self, guest: u64, end: u64, preallocation: Preallocation) -> Result<()> {
        let len = usize::try_from(end - guest).unwrap_or(0);
        match preallocation {
            Preallocation::Off => self.erase(guest..end, Erase::Zero),
            // A data file has its own places, and encrypted zeros are no zeros.
            _ if self.data.is_some() || self.encryption.is_some() && preallocation == Preallocation::Full => {
                self.write(&vec![0; len], guest)
            }
            Preallocation::Metadata | Preallocation::Falloc if self.header.version == VERSION_2 => {
                self.write(&vec![0; len], guest)
            }
            Preallocation::Metadata | Preallocation::Falloc | Preallocation::Full => {
                let host = self.take()?;
                let full = preallocation == Preallocation::Full;
                let words = if full { self.stored_words(host) } else { self.zero_words(host) };
                debug_assert!(words[0] & COPIED != 0, "the cluster is the disk's own");
                self.set_words(guest, words)?;
                self.give_place(host, preallocation)
            }
        }
    }

    /// The words of an entry whose cluster is stored at host byte `host`.
    fn stored_words(&self, host: u64) -> [u64; 2] {
        [host | COPIED, if self.header.l2.extended() { SUBCLUSTERS_STORED } else { 0 }]
    }

    /// Takes note of a cluster at host byte `host` that the guest has been given, in the file system too where `preallocation` wants
    /// space. The file has it once that is [settled](Self::settle_places): not for each cluster alone.
    fn give_place(&mut self, host: u64, preallocation: Preallocation) -> Result<()> {
        let end = host + self.cluster().len();
        if self.places.run.end != host || self.places.preallocation != preallocation {
            self.settle_places()?;
            self.places = Places { run: host..end, preallocation };
        }
        self.places.run.end = end;
        Ok(())
    }

    /// Makes the file have places that were given, as far as they want it, before anything refers to them.
    ///
    /// # Errors
    ///
    /// [`Io`](imgfmt_core::ErrorKind::Io).
    pub(super) fn settle_places(&mut self) -> Result<()> {
        let Places { run, preallocation } = &self.places;
        if self.medium.len() < run.end {
            self.medium.set_len(run.end)?;
        }
        match preallocation {
            Preallocation::Falloc => self.medium.reserve(run.clone())?,
            Preallocation::Full => write_zeros(self.medium.as_ref(), run.clone())?,
            Preallocation::Off | Preallocation::Metadata => {}
        }
        self.places = Places::default();
        Ok(())
    }
}

/// Clusters, one behind the other, that the guest has been given and the file may not have yet.
#[derive(Default)]
pub(super) struct Places {
    /// Their host bytes.
    run: Range<u64>,
    /// Whether the file system is to take space for them, or zeros are to be written.
    preallocation: Preallocation,
}
