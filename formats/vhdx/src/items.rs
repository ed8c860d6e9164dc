//! The metadata table, as it is changed.

use std::ops::Range;

use imgfmt_core::{Error, Result};
use uuid::Uuid;

use crate::fields::put;
use crate::layout::{
    ENTRY_LEN, ITEM_FLAGS_AT, ITEM_LENGTH_AT, ITEM_OFFSET_AT, MAX_ENTRIES, MAX_ITEM_LEN, METADATA_COUNT_AT,
    METADATA_ENTRIES_AT, METADATA_TABLE_LEN,
};
use crate::metadata::{Item, entries};

/// The table of a region.
pub(crate) struct ItemTable {
    /// Its bytes.
    bytes: Vec<u8>,
    /// Host bytes of the region.
    region: Range<u64>,
}

impl ItemTable {
    /// The table with these bytes in `region`.
    pub(crate) fn new(bytes: Vec<u8>, region: Range<u64>) -> Self {
        Self { bytes, region }
    }

    /// Its bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Host bytes of an item; nothing where it is not there.
    ///
    /// # Errors
    ///
    /// [`Malformed`](imgfmt_core::ErrorKind::Malformed) where it is no table.
    pub(crate) fn find(&self, id: Uuid) -> Result<Option<Range<u64>>> {
        let item = self.items()?.into_iter().find(|item| item.id == id && !item.is_user());
        Ok(item.map(|item| self.region.start + item.range().start..self.region.start + item.range().end))
    }

    /// Gives an item of `len` bytes its place: where it is, if it fits there, or behind all others. Returns its host byte.
    ///
    /// # Errors
    ///
    /// [`Unsupported`](imgfmt_core::ErrorKind::Unsupported) where there is no room.
    pub(crate) fn place(&mut self, id: Uuid, flags: u32, len: usize) -> Result<u64> {
        let no_room = || Error::unsupported("the metadata region has no room for another parent's name");
        let items = self.items()?;
        let index = items.iter().position(|item| item.id == id && !item.is_user()).unwrap_or(items.len());
        let stored_len = u32::try_from(len).ok().filter(|&len| len <= MAX_ITEM_LEN).ok_or_else(no_room)?;
        let region_len = self.region.end - self.region.start;
        let others: Vec<_> =
            items.iter().enumerate().filter(|(other, _)| *other != index).map(|(_, item)| item).collect();
        let fits = |start: u64| {
            let end = start + u64::from(stored_len);
            let free = |item: &&Item| item.range().end <= start || item.range().start >= end;
            start >= METADATA_TABLE_LEN as u64 && end <= region_len && others.iter().all(free)
        };
        let last = others.iter().map(|item| item.range().end).fold(METADATA_TABLE_LEN as u64, u64::max);
        let places = [items.get(index).map(|item| item.range().start), Some(last.next_multiple_of(ITEM_ALIGN))];
        let start = places.into_iter().flatten().find(|&start| fits(start)).ok_or_else(no_room)?;
        let count = u16::try_from(items.len().max(index + 1)).ok().filter(|&count| usize::from(count) <= MAX_ENTRIES);
        put(&mut self.bytes, METADATA_COUNT_AT, &count.ok_or_else(no_room)?.to_le_bytes());
        let entry = &mut self.bytes[METADATA_ENTRIES_AT + index * ENTRY_LEN..][..ENTRY_LEN];
        entry.fill(0);
        put(entry, 0, &id.to_bytes_le());
        put(entry, ITEM_OFFSET_AT, &u32::try_from(start).map_err(|_| no_room())?.to_le_bytes());
        put(entry, ITEM_LENGTH_AT, &stored_len.to_le_bytes());
        put(entry, ITEM_FLAGS_AT, &flags.to_le_bytes());
        Ok(self.region.start + start)
    }

    /// Takes an item out of the table.
    ///
    /// # Errors
    ///
    /// As [`find`](Self::find).
    pub(crate) fn remove(&mut self, id: Uuid) -> Result<()> {
        let items = self.items()?;
        let Some(index) = items.iter().position(|item| item.id == id && !item.is_user()) else { return Ok(()) };
        let (start, end) = (METADATA_ENTRIES_AT + index * ENTRY_LEN, METADATA_ENTRIES_AT + items.len() * ENTRY_LEN);
        self.bytes.copy_within(start + ENTRY_LEN..end, start);
        self.bytes[end - ENTRY_LEN..end].fill(0);
        let count = u16::try_from(items.len() - 1).unwrap_or(0);
        put(&mut self.bytes, METADATA_COUNT_AT, &count.to_le_bytes());
        Ok(())
    }

    /// The entries.
    fn items(&self) -> Result<Vec<Item>> {
        entries(&self.bytes, &self.region)
    }
}

/// Items start at a multiple of this, in bytes. No rule of the format.
const ITEM_ALIGN: u64 = 8;
