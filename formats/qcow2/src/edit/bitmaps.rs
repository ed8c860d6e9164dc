//! Bitmaps: added, removed, cleared, merged, and brought up to date.

use std::sync::Arc;

use imgfmt_core::{BitmapChange, EditBitmaps, Error, ErrorKind, Medium, OpenContext, Result};

use super::directory::Entry;
use super::disk::Disk;
use crate::Qcow2;
use crate::layout::{BITMAP_AUTO, BITMAP_GRANULARITY_BITS, BITMAP_IN_USE, VERSION_2};

impl EditBitmaps for Qcow2 {
    fn change(
        &self,
        medium: Arc<dyn Medium>,
        name: &str,
        changes: &[BitmapChange<'_>],
        context: &OpenContext<'_>,
    ) -> Result<()> {
        // Keys are not needed for bits.
        let context = OpenContext { describe_only: true, ..*context };
        let mut disk = Disk::open(medium, &context)?;
        if disk.header.version == VERSION_2 {
            return Err(Error::unsupported("an image of version 2 can have no bitmaps; amend it to compat=1.1"));
        }
        let mut entries = disk.directory()?;
        for change in changes {
            disk.change_bitmap(&mut entries, name, change)?;
        }
        disk.switch_directory(&entries)
    }
}

impl Disk<'_> {
    /// Does one change, in memory and in new clusters.
    fn change_bitmap(&mut self, entries: &mut Vec<Entry>, name: &str, change: &BitmapChange<'_>) -> Result<()> {
        let place = entries.iter().position(|entry| entry.name() == name);
        if let BitmapChange::Add { granularity } = change {
            if place.is_some() {
                return Err(Error::invalid(format!("there is a bitmap called {name} already")));
            }
            entries.push(self.new_bitmap(name, *granularity)?);
            return Ok(());
        }
        let missing = || Error::new(ErrorKind::Missing, format!("there is no bitmap called {name}"));
        let place = place.ok_or_else(missing)?;
        if entries[place].has(BITMAP_IN_USE) && !matches!(change, BitmapChange::Remove) {
            let what = format!("the bitmap {name} was in use when the image was last closed; it can only be removed");
            return Err(Error::invalid(what));
        }
        match change {
            BitmapChange::Add { .. } => {}
            BitmapChange::Remove => {
                let entry = entries.remove(place);
                self.give_up_bits(&entry)?;
            }
            BitmapChange::Clear => {
                let bits = self.no_bits(entries[place].granularity(), self.size)?;
                self.replace_bits(&mut entries[place], &bits)?;
            }
            BitmapChange::Enable => entries[place].put(BITMAP_AUTO, true),
            BitmapChange::Disable => entries[place].put(BITMAP_AUTO, false),
            BitmapChange::Merge(other) => {
                let mut bits = self.bits(&entries[place], self.size)?;
                other.visit_dirty(&mut |range| {
                    bits.set(range);
                    Ok(())
                })?;
                self.replace_bits(&mut entries[place], &bits)?;
            }
        }
        Ok(())
    }

    /// A clean bitmap that records.
    fn new_bitmap(&mut self, name: &str, granularity: Option<u64>) -> Result<Entry> {
        let granularity = granularity.unwrap_or(DEFAULT_GRANULARITY);
        let bits = u8::try_from(granularity.trailing_zeros()).unwrap_or(u8::MAX);
        if !granularity.is_power_of_two() || !BITMAP_GRANULARITY_BITS.contains(&bits) {
            let what = format!("the granularity is {granularity}, which is not a power of two from 512 to 2G");
            return Err(Error::invalid(what));
        }
        let mut entry = Entry::new(name, granularity)?;
        entry.put(BITMAP_AUTO, true);
        let bits = self.no_bits(granularity, self.size)?;
        self.store_bits(&mut entry, &bits)?;
        Ok(entry)
    }

    /// Says of all bitmaps that record that they cannot be relied on.
    ///
    /// # Errors
    ///
    /// As [`switch_directory`](Self::switch_directory).
    pub(super) fn mark_bitmaps_in_use(&mut self) -> Result<()> {
        let mut entries = self.directory()?;
        entries.iter_mut().filter(|entry| entry.has(BITMAP_AUTO)).for_each(|entry| entry.put(BITMAP_IN_USE, true));
        self.switch_directory(&entries)
    }

    /// Stores what was changed in all bitmaps that record, which can be relied on then. Those that could not before stay so.
    ///
    /// # Errors
    ///
    /// As [`switch_directory`](Self::switch_directory).
    pub(super) fn store_recorded(&mut self) -> Result<()> {
        let ranges: Vec<_> = self.record.ranges().collect();
        let stale = self.record.stale().to_vec();
        let mut entries = self.directory()?;
        for entry in entries.iter_mut().filter(|entry| entry.has(BITMAP_AUTO) && !stale.contains(&entry.name())) {
            let mut bits = self.bits(entry, self.size)?;
            ranges.iter().for_each(|range| bits.set(range.clone()));
            self.replace_bits(entry, &bits)?;
            entry.put(BITMAP_IN_USE, false);
        }
        self.switch_directory(&entries)
    }
}

/// Granularity where nothing is said, in bytes. QEMU's for clusters of 64 KiB.
const DEFAULT_GRANULARITY: u64 = 64 << 10;
