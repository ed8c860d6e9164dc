//! An image that is changed: which of its blocks are in use, and what its map says of them.
//!
//! What is new is put where nothing is in use, and flushed before an entry leads to it; `cBlocksAllocated` is never less than
//! what entries name, so that other programs put nothing over it. A block that is given up is used again only after that is
//! flushed, too.

mod compact;
mod place;
mod room;

use std::ops::Range;
use std::sync::Arc;

use imgfmt_core::{Error, Halt, Limits, Medium, Result, Storage};
use uuid::Uuid;

use crate::entries;
use crate::header::Header;
use crate::layout::{ALLOCATED_AT, ENTRY_LEN, MAP_OFFSET_AT, SECTOR_LEN, ZERO};
use crate::patch::RawHeader;
use crate::used::Used;

pub(crate) use place::Space;

/// An image, as it is in the file at any time.
pub(crate) struct Disk {
    /// The file.
    pub(crate) medium: Arc<dyn Medium>,
    /// Stops all that would build on an entry or a header which may be there or not.
    halt: Halt,
    /// The header.
    pub(crate) header: Header,
    /// Its bytes.
    raw: RawHeader,
    /// The blocks of the file that entries of the map name, and those that will be named next.
    used: Used,
    /// Blocks that nothing names and that may be used.
    free: Vec<u64>,
    /// Blocks that nothing names any more, which the medium may not know yet.
    freed: Vec<u64>,
    /// The block of the file behind all that are or were in use.
    next: u64,
    /// Whether blocks have been given up.
    shrinks: bool,
    /// Whether `uuidModify` has changed.
    is_marked: bool,
}

impl Disk {
    /// The image of `header` in `medium`, whose entries name these blocks, each once.
    pub(crate) fn new(medium: Arc<dyn Medium>, header: Header, used: Used) -> Result<Self> {
        check_places(&header)?;
        let halt = Halt::default();
        let medium = halt.guard(medium);
        let raw = RawHeader::read(medium.as_ref(), &header)?;
        let next = used.end();
        let free = Vec::new();
        Ok(Self { medium, halt, header, raw, used, free, freed: Vec::new(), next, shrinks: false, is_marked: false })
    }

    /// The image in `medium`, which keeps the rules of readers, if nothing of it has to be repaired first.
    pub(crate) fn whole(medium: Arc<dyn Medium>, limits: &Limits) -> Result<Self> {
        let header = Header::read(medium.as_ref(), limits)?;
        let used = whole_blocks(medium.as_ref(), &header, limits)?;
        if u64::from(header.allocated) < used.end() {
            let what = format!("is {}, but block {} is in use", header.allocated, used.end() - 1);
            return Err(damaged(&what).field("cBlocksAllocated").at(ALLOCATED_AT as u64));
        }
        let mut disk = Self::new(medium, header, used)?;
        disk.free = disk.used.holes(0..disk.next).take(MAX_FREE).collect();
        Ok(disk)
    }

    /// The file, to be read.
    pub(crate) fn storage(&self) -> &dyn Storage {
        self.medium.as_ref()
    }

    /// The block behind all that are or were in use, as the header counts them.
    pub(crate) fn end(&self) -> Result<u32> {
        entry_of(self.next)
    }

    /// The byte at which the data of block `number` of the file begins.
    pub(crate) fn data_at(&self, number: u64) -> u64 {
        self.header.block_at(number) + self.header.block_extra
    }

    /// The entries of `range`.
    pub(crate) fn entries(&self, range: &Range<u64>) -> Result<Vec<u32>> {
        entries::read(self.storage(), &self.header, range)
    }

    /// Writes entries, those that lie side by side as one. They come in the order of the map.
    pub(crate) fn set_entries(&self, changes: &[(u64, u32)]) -> Result<()> {
        for run in changes.chunk_by(|one, next| one.0 + 1 == next.0) {
            let values: Vec<u32> = run.iter().map(|(_, value)| *value).collect();
            let first = run.first().map_or(0, |(index, _)| *index);
            let written = entries::write(self.medium.as_ref(), self.header.map_offset + first * ENTRY_LEN, &values);
            self.halt.on_error(written)?;
        }
        Ok(())
    }

    /// Makes the file say what `header` says, which is not flushed.
    pub(crate) fn write_header(&mut self, header: Header) -> Result<()> {
        let mut raw = self.raw;
        raw.set(&header);
        self.halt.on_error(raw.write(self.medium.as_ref()))?;
        (self.raw, self.header) = (raw, header);
        Ok(())
    }

    /// Gives the image another `uuidModify` before it is changed for the first time: children of it are to know.
    pub(crate) fn mark(&mut self) -> Result<()> {
        self.halt.check()?;
        if self.is_marked {
            return Ok(());
        }
        self.write_header(Header { modify: Uuid::new_v4(), ..self.header.clone() })?;
        self.medium.sync()?;
        self.is_marked = true;
        Ok(())
    }

    /// Notes that no entry names these blocks any more, which may not be flushed.
    pub(crate) fn give_up(&mut self, numbers: impl IntoIterator<Item = u64>) {
        for number in numbers {
            self.used.remove(number);
            self.freed.push(number);
            self.shrinks = true;
        }
    }

    /// Puts everything onto the medium; then what was given up can be used again.
    pub(crate) fn flush(&mut self) -> Result<()> {
        self.medium.sync()?;
        self.free.append(&mut self.freed);
        Ok(())
    }

    /// Flushes, and closes the gaps that blocks have left which were given up.
    pub(crate) fn close(&mut self) -> Result<()> {
        self.flush()?;
        if self.shrinks { self.compact() } else { Ok(()) }
    }
}

/// The blocks that the map names, each of which is named once and lies in the file.
fn whole_blocks(storage: &dyn Storage, header: &Header, limits: &Limits) -> Result<Used> {
    let mut used = Used::default();
    limits.table_len(
        "blocks",
        storage.len().saturating_sub(header.data_offset).div_ceil(header.stride()).div_ceil(8),
        1,
    )?;
    entries::each_stored(storage, header, 0..u64::from(header.blocks), &mut |index, block| {
        let end = header.block_at(block).saturating_add(header.block_extra).saturating_add(header.stored_len(index));
        let place = header.map_offset + index * ENTRY_LEN;
        if end > storage.len() {
            let what = format!("block {index} ends at byte {end}, but the file at byte {}", storage.len());
            return Err(damaged(&what).at(place));
        }
        if !used.insert(block) {
            return Err(damaged(&format!("block {index} is stored where another one is")).at(place));
        }
        Ok(())
    })?;
    Ok(used)
}

/// Whether what changes as one lies within a sector: entries, and sectors of the disk.
pub(crate) fn can_change(header: &Header) -> bool {
    let in_sectors = |at: u64| at.is_multiple_of(SECTOR_LEN);
    header.map_offset.is_multiple_of(ENTRY_LEN) && in_sectors(header.data_offset) && in_sectors(header.block_extra)
}

/// Checks that an image can be changed.
fn check_places(header: &Header) -> Result<()> {
    if can_change(header) {
        return Ok(());
    }
    let what = "the map or the blocks do not lie at whole sectors, so that they cannot be changed";
    Err(Error::unsupported(what).at(MAP_OFFSET_AT as u64))
}

/// An error about an image that has to be repaired.
fn damaged(what: &str) -> Error {
    Error::malformed(format!("the image has to be repaired before it is changed: {what}"))
}

/// The entry that names block `number` of the file.
fn entry_of(number: u64) -> Result<u32> {
    let entry = u32::try_from(number).ok().filter(|entry| *entry < ZERO);
    entry.ok_or_else(|| Error::limit("the file would have more blocks than an entry can name"))
}

/// Gaps between blocks that are known when an image is opened, at most; others are closed when it is, if any are.
const MAX_FREE: usize = 1 << 16;
