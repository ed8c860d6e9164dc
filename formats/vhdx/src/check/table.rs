//! The block allocation table: every entry, and what it takes of the file.

use std::ops::Range;

use imgfmt_core::{CheckStats, Finding, Findings, Limits, Repair, Result, Severity, Storage};

use super::Mend;
use crate::bat::{Bat, Entries};
use crate::geometry::Geometry;
use crate::layout::{ALIGN, BAT_OFFSET_MASK, BAT_STATE_MASK, SECTOR_BITMAP_LEN, state};
use crate::map::Block;
use crate::regions::Regions;
use crate::space::Space;

/// A walk over the table.
pub(crate) struct Walk<'a> {
    /// The file.
    pub(super) storage: &'a dyn Storage,
    /// The table.
    pub(super) bat: &'a Bat,
    /// Which entries it has.
    geometry: Geometry,
    /// Where things are that are no blocks.
    regions: &'a Regions,
    /// What is in use.
    pub(super) space: Space,
    /// Blocks that overlap another one.
    pub(super) shared: Vec<Shared>,
    /// How many of them are kept until the end.
    max_shared: u64,
    /// What blocks name that are not stored.
    kept: Space,
    /// The byte behind the regions: gaps before it are as the file was laid out.
    first: u64,
    /// Where the next block would lie, if it lay behind the one before.
    next: Option<u64>,
    /// What was counted.
    stats: CheckStats,
    /// Whether every entry is right.
    whole: bool,
}

/// An entry of the table.
#[derive(Clone, Copy)]
pub(super) struct Entry {
    /// Its number.
    pub(super) index: u64,
    /// What it says.
    pub(super) value: u64,
    /// The first guest byte that it is about.
    guest: u64,
}

/// A block of which a part is another one's.
#[derive(Clone, Copy)]
pub(super) struct Shared {
    /// Its entry.
    pub(super) entry: Entry,
    /// Its bytes that are in the file.
    pub(super) stored: u64,
    /// All of its bytes.
    pub(super) len: u64,
    /// The first byte that it shares.
    pub(super) clash: u64,
}

impl<'a> Walk<'a> {
    /// A walk that has not begun.
    ///
    /// # Errors
    ///
    /// [`LimitExceeded`](imgfmt_core::ErrorKind::LimitExceeded) for a file that is too long.
    pub(crate) fn new(
        storage: &'a dyn Storage,
        bat: &'a Bat,
        geometry: Geometry,
        regions: &'a Regions,
        limits: &Limits,
    ) -> Result<Self> {
        let mut space = Space::new(storage.len(), limits)?;
        let kept = space.clone();
        // What lies behind the end of the file is of no use to anybody.
        let file_end = storage.len().next_multiple_of(ALIGN);
        for taken in &regions.taken {
            space.claim(taken.start.min(file_end)..taken.end.min(file_end));
            if taken.end > file_end {
                space.avoid(taken.clone());
            }
        }
        let stats = CheckStats { total_units: geometry.blocks(), ..CheckStats::default() };
        let first = space.end();
        let (shared, max_shared) = (Vec::new(), limits.items);
        let (next, whole) = (None, true);
        Ok(Self { storage, bat, geometry, regions, space, shared, max_shared, kept, first, next, stats, whole })
    }

    /// Looks at every entry, and mends what can be.
    ///
    /// # Errors
    ///
    /// [`Io`](imgfmt_core::ErrorKind::Io).
    pub(crate) fn run(&mut self, mend: Option<Mend<'_>>, findings: &mut Findings) -> Result<()> {
        let (mut index, end) = (0, self.geometry.entries());
        while index < end {
            match self.bat.from(self.storage, index)? {
                Entries::Hole(count) => index += count,
                Entries::Stored { page, skip } => {
                    for &value in &page[skip..] {
                        if value != 0 {
                            self.look(index, value, mend, findings)?;
                        }
                        index += 1;
                    }
                }
            }
        }
        self.space.add(&self.kept);
        self.look_at_shared(mend, findings)
    }

    /// What was counted.
    pub(crate) fn stats(&self) -> CheckStats {
        CheckStats { image_end: Some(self.space.end().min(self.storage.len())), ..self.stats }
    }

    /// What is in use.
    pub(crate) fn into_space(self) -> Space {
        self.space
    }

    /// The byte behind everything in use.
    pub(super) fn end(&self) -> u64 {
        self.space.end()
    }

    /// Whether every entry is right.
    pub(super) fn is_whole(&self) -> bool {
        self.whole
    }

    /// Bytes behind everything in use that QEMU leaves for what is not stored yet: some before the first block of an image, and
    /// in a fixed one all that its blocks take.
    pub(super) fn room(&self, is_fixed: bool) -> u64 {
        let missing = self.geometry.blocks() - self.stats.allocated_units.min(self.geometry.blocks());
        match (self.geometry.differencing, is_fixed) {
            (true, _) => 0,
            (false, true) => missing.saturating_mul(self.geometry.block_len).saturating_add(FIRST_ROOM),
            (false, false) if self.stats.allocated_units == 0 => FIRST_ROOM,
            (false, false) => 0,
        }
    }

    /// Bytes of a block.
    pub(super) fn block_len(&self) -> u64 {
        self.geometry.block_len
    }

    /// Free bytes between blocks, but for the room before the first one.
    pub(super) fn gaps(&self) -> impl IntoIterator<Item = Range<u64>> {
        let (first, room) = (self.first, self.first..self.first.saturating_add(FIRST_ROOM));
        self.space.gaps().into_iter().filter(move |gap| gap.start >= first && *gap != room)
    }

    /// Takes note of an entry that is wrong.
    pub(super) fn set_damaged(&mut self) {
        self.whole = false;
    }

    /// Looks at an entry that is not 0.
    fn look(&mut self, index: u64, value: u64, mend: Option<Mend<'_>>, findings: &mut Findings) -> Result<()> {
        let chunk_entries = self.geometry.chunk_blocks() + 1;
        if index % chunk_entries == chunk_entries - 1 {
            let guest = index / chunk_entries * self.geometry.chunk_blocks() * self.geometry.block_len;
            let entry = Entry { index, value, guest };
            self.look_at_reserved(&entry, mend, findings)?;
            self.look_at_bitmap(&entry, findings);
            return Ok(());
        }
        let block = self.geometry.blocks_before(index);
        // A differencing disk's table goes on to the end of its chunk.
        if block >= self.geometry.blocks() {
            return Ok(());
        }
        let entry = Entry { index, value, guest: block * self.geometry.block_len };
        self.look_at_reserved(&entry, mend, findings)?;
        let entry = Entry { value: value & (BAT_STATE_MASK | BAT_OFFSET_MASK), ..entry };
        self.look_at_block(&entry, block, findings)
    }

    /// Looks at the bits that mean nothing.
    fn look_at_reserved(&self, entry: &Entry, mend: Option<Mend<'_>>, findings: &mut Findings) -> Result<()> {
        if entry.value & !(BAT_STATE_MASK | BAT_OFFSET_MASK) == 0 {
            return Ok(());
        }
        if let Some(mend) = mend {
            // An entry lies within a sector, which is written or not.
            let right = entry.value & (BAT_STATE_MASK | BAT_OFFSET_MASK);
            mend.medium.write_at(&right.to_le_bytes(), self.bat.entry_at(entry.index))?;
            mend.medium.sync()?;
        }
        let what = format!("the entry is {:#x}, with bits that are reserved", entry.value);
        let finding = self.finding("vhdx-bat-reserved", entry, what).mended_by(Repair::All).fixed(mend.is_some());
        findings.push(Finding { severity: Severity::Warning, ..finding });
        Ok(())
    }

    /// Looks at the entry of a payload block.
    fn look_at_block(&mut self, entry: &Entry, block: u64, findings: &mut Findings) -> Result<()> {
        let (host, stored) = match Block::decode(entry.value) {
            Ok(Block::Absent | Block::Zero) => {
                self.keep_for(entry);
                return Ok(());
            }
            Ok(Block::Full(host)) => (host, true),
            Ok(Block::Partial(host)) => (host, self.look_at_partial(entry, block, findings)?),
            Err(error) => {
                self.tell(self.finding("vhdx-bat-state", entry, error.to_string()), findings);
                return Ok(());
            }
        };
        let len = self.geometry.block_len;
        // Some programs leave off what the last block has behind the end of the disk.
        self.claim(entry, host, len.min(self.geometry.size - entry.guest), len, findings);
        self.stats.allocated_units += u64::from(stored);
        self.stats.fragmented_units += u64::from(self.next.is_some_and(|next| next != host));
        self.next = Some(host.saturating_add(len));
        Ok(())
    }

    /// Looks at what a block that is stored in part needs. Says whether it is there.
    fn look_at_partial(&mut self, entry: &Entry, block: u64, findings: &mut Findings) -> Result<bool> {
        if !self.geometry.differencing {
            let what = "a block is stored in part, but the disk has no parent";
            self.tell(self.finding("vhdx-block-partial", entry, what.to_owned()), findings);
            return Ok(false);
        }
        let index = self.geometry.bitmap_index(block / self.geometry.chunk_blocks());
        if self.bat.entry(self.storage, index)? & BAT_STATE_MASK != state::FULLY_PRESENT {
            let what = "a block is stored in part, but there is no sector bitmap to say which";
            self.tell(self.finding("vhdx-bitmap-missing", entry, what.to_owned()), findings);
            return Ok(false);
        }
        Ok(true)
    }

    /// Looks at the entry of a sector bitmap.
    fn look_at_bitmap(&mut self, entry: &Entry, findings: &mut Findings) {
        match entry.value & BAT_STATE_MASK {
            state::NOT_PRESENT => {}
            state::FULLY_PRESENT if self.geometry.differencing => {
                let host = entry.value & BAT_OFFSET_MASK;
                self.claim(entry, host, SECTOR_BITMAP_LEN, SECTOR_BITMAP_LEN, findings);
            }
            // Nobody reads it.
            state::FULLY_PRESENT => {
                let what = "there is a sector bitmap, but the disk has no parent".to_owned();
                let finding = self.finding("vhdx-bitmap-unused", entry, what);
                findings.push(Finding { severity: Severity::Warning, ..finding });
            }
            other => {
                let what = format!("the state of a sector bitmap is {other}, which means nothing");
                self.tell(self.finding("vhdx-bitmap-state", entry, what), findings);
            }
        }
    }

    /// Takes `len` bytes from `host` on, of which `needed` have to be in the file.
    fn claim(&mut self, entry: &Entry, host: u64, needed: u64, len: u64, findings: &mut Findings) {
        let end = host.saturating_add(needed);
        if let Some(taken) = self.regions.taken_within(host..end) {
            let what = format!("lies at byte {host}, but bytes {taken:?} are headers, log, or tables");
            self.tell(self.finding("vhdx-block-overlap", entry, what), findings);
            return;
        }
        let file_len = self.storage.len();
        if end > file_len {
            let what = format!("lies at byte {host} and ends at byte {end}, but the file ends at byte {file_len}");
            self.tell(self.finding("vhdx-block-outside", entry, what), findings);
            return;
        }
        let end = host.saturating_add(len).min(file_len.next_multiple_of(ALIGN));
        let Some(clash) = self.space.claim(host..end) else { return };
        if (self.shared.len() as u64) < self.max_shared {
            let stored = end.min(file_len) - host;
            self.shared.push(Shared { entry: *entry, stored, len, clash });
            return;
        }
        self.tell(self.shared_finding(entry, clash), findings);
    }

    /// The finding about an entry whose block has byte `clash` of another one.
    pub(super) fn shared_finding(&self, entry: &Entry, clash: u64) -> Finding {
        let host = entry.value & BAT_OFFSET_MASK;
        let what = format!("lies at byte {host}, but byte {clash} is part of another block");
        self.finding("vhdx-block-shared", entry, what)
    }

    /// Leaves alone the bytes that the entry of a block names which is not stored: some programs come back to them.
    fn keep_for(&mut self, entry: &Entry) {
        let host = entry.value & BAT_OFFSET_MASK;
        let end = host.saturating_add(self.geometry.block_len);
        if host != 0 && end <= self.storage.len() && self.regions.taken_within(host..end).is_none() {
            self.kept.claim(host..end);
        }
    }

    /// A finding about an entry.
    fn finding(&self, id: &'static str, entry: &Entry, what: String) -> Finding {
        Finding::new(id, Severity::Corruption, what).at(self.bat.entry_at(entry.index)).guest(entry.guest)
    }

    /// Tells of an entry that is wrong.
    pub(super) fn tell(&mut self, finding: Finding, findings: &mut Findings) {
        self.set_damaged();
        findings.push(finding);
    }
}

/// What QEMU leaves free before the first block, in bytes.
const FIRST_ROOM: u64 = 4 << 20;
