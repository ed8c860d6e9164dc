//! What an editor knows of its image.

use std::ops::Range;
use std::sync::Arc;

use byteorder::{ByteOrder, LittleEndian};
use imgfmt_core::{Error, ErrorKind, Findings, Image, Limits, Medium, Result, Severity, Storage};

use super::journal::Journal;
use crate::check::table::Walk;
use crate::geometry::Geometry;
use crate::headers::Headers;
use crate::image::VhdxImage;
use crate::layout::{BAT_ENTRY_LEN, VIRTUAL_DISK_SIZE};
use crate::log;
use crate::regions::Regions;
use crate::space::Space;

/// An image that is changed.
pub(super) struct State {
    /// The file.
    pub(super) medium: Arc<dyn Medium>,
    /// Bounds on what the file may ask for.
    pub(super) limits: Limits,
    /// Its headers.
    pub(super) headers: Headers,
    /// Host bytes of the log.
    pub(super) log: Range<u64>,
    /// Where things are that are no blocks.
    pub(super) regions: Regions,
    /// Which entries the block allocation table has.
    pub(super) geometry: Geometry,
    /// Whether blocks stay allocated: the disk is of the fixed kind.
    pub(super) fixed: bool,
    /// Sectors of tables that are changed.
    pub(super) journal: Journal,
    /// What of the file is in use.
    pub(super) space: Space,
    /// What is in use until the next commit.
    pub(super) freed: Vec<Range<u64>>,
    /// Whether a header says already that the image is changed.
    pub(super) begun: bool,
    /// Whether a commit was left half-way by an error.
    pub(super) failed: bool,
}

impl State {
    /// Opens the image in `medium`, and replays its log in the file where there is something to replay.
    ///
    /// # Errors
    ///
    /// As [`Edit::edit`](imgfmt_core::Edit::edit).
    pub(super) fn open(medium: Arc<dyn Medium>, limits: &Limits) -> Result<Self> {
        let storage = Arc::clone(&medium) as Arc<dyn Storage>;
        log::apply::apply(&storage, medium.as_ref(), limits)?;
        let image = VhdxImage::read(Arc::clone(&storage), limits)?;
        let log = image.header.header.log();
        if log::write::capacity(limits.table_len("LogLength", log.end - log.start, 1)? as u64) < ROOM {
            return Err(Error::unsupported("the file has no room for a log").field("LogLength"));
        }
        if log.end > storage.len() {
            let what = format!("the log ends at byte {}, but the file ends at byte {}", log.end, storage.len());
            return Err(Error::out_of_bounds(what).at(log.start));
        }
        let space = used(&image, limits)?;
        Ok(Self {
            headers: Headers::new(medium.as_ref(), &image.header, UPDATES)?,
            medium,
            limits: *limits,
            log,
            fixed: image.metadata.leave_blocks_allocated && !image.geometry.differencing,
            regions: image.regions,
            geometry: image.geometry,
            journal: Journal::default(),
            space,
            freed: Vec::new(),
            begun: false,
            failed: false,
        })
    }

    /// A reader of the image as it is now.
    ///
    /// # Errors
    ///
    /// As [`VhdxImage::open`].
    pub(super) fn image(&self) -> Result<Box<dyn Image>> {
        self.check_failed()?;
        let storage = Arc::clone(&self.medium) as Arc<dyn Storage>;
        let storage = match self.journal.is_empty() {
            true => storage,
            false => log::with_sectors(storage, &self.journal.sectors(), &self.limits)?,
        };
        Ok(VhdxImage::open(storage, &self.limits)?.image)
    }

    /// Says in the file that it is about to be changed, and that the disk is, before anything else is: § 2.2.2.
    ///
    /// # Errors
    ///
    /// [`Io`](ErrorKind::Io).
    pub(super) fn begin(&mut self) -> Result<()> {
        self.check_failed()?;
        if !self.begun {
            self.headers.change_data();
            self.headers.update(self.medium.as_ref())?;
            self.begun = true;
        }
        Ok(())
    }

    /// Refuses to go on where it is not known what is in the file.
    pub(super) fn check_failed(&self) -> Result<()> {
        match self.failed {
            true => Err(Error::new(ErrorKind::Io, "an earlier change could not be put into the file")),
            false => Ok(()),
        }
    }

    /// Makes sure that the changes of one block have room in the log.
    ///
    /// # Errors
    ///
    /// As [`commit`](Self::commit).
    pub(super) fn make_room(&mut self) -> Result<()> {
        match self.journal.len() + ROOM > self.capacity() {
            true => self.commit(),
            false => Ok(()),
        }
    }

    /// The most sectors that the log holds.
    pub(super) fn capacity(&self) -> usize {
        log::write::capacity(self.log.end - self.log.start)
    }

    /// Entry `index` of the table.
    ///
    /// # Errors
    ///
    /// [`Io`](ErrorKind::Io).
    pub(super) fn entry(&mut self, index: u64) -> Result<u64> {
        let mut bytes = [0; 8];
        self.journal.read(self.medium.as_ref(), &mut bytes, self.regions.bat.start + index * BAT_ENTRY_LEN)?;
        Ok(LittleEndian::read_u64(&bytes))
    }

    /// Changes entry `index` of the table.
    ///
    /// # Errors
    ///
    /// As [`entry`](Self::entry).
    pub(super) fn set_entry(&mut self, index: u64, entry: u64) -> Result<()> {
        let at = self.regions.bat.start + index * BAT_ENTRY_LEN;
        self.journal.write(self.medium.as_ref(), &entry.to_le_bytes(), at)
    }

    /// Changes what the metadata say about the size of the disk.
    ///
    /// # Errors
    ///
    /// As [`entry`](Self::entry).
    pub(super) fn set_size(&mut self, size: u64) -> Result<()> {
        let place = self.items()?.find(VIRTUAL_DISK_SIZE)?;
        let place = place.ok_or_else(|| Error::malformed("the item Virtual Disk Size is missing"))?;
        self.journal.write(self.medium.as_ref(), &size.to_le_bytes(), place.start)
    }

    /// Takes the first free bytes that have room for a block, which read as zeros.
    ///
    /// # Errors
    ///
    /// [`Io`](ErrorKind::Io).
    pub(super) fn allocate_block(&mut self) -> Result<u64> {
        let len = self.geometry.block_len;
        let host = self.space.allocate_block(len);
        self.zero_new(host..host + len)?;
        Ok(host)
    }

    /// Takes the first free bytes that have room for `len`, which read as zeros.
    ///
    /// # Errors
    ///
    /// [`Io`](ErrorKind::Io).
    pub(super) fn allocate(&mut self, len: u64) -> Result<u64> {
        let host = self.space.allocate(len);
        self.zero_new(host..host + len)?;
        Ok(host)
    }

    /// Makes bytes that were free read as zeros, and the file long enough for them.
    fn zero_new(&mut self, range: Range<u64>) -> Result<()> {
        self.journal.forget_read();
        let file_len = self.medium.len();
        let outcome = match range.start < file_len {
            true => self.medium.clear(range.start..range.end.min(file_len)),
            false => Ok(()),
        };
        let outcome = outcome.and_then(|()| match range.end > file_len {
            true => self.medium.set_len(range.end),
            false => Ok(()),
        });
        if outcome.is_err() {
            self.abandon(range);
        }
        outcome
    }

    /// Gives back bytes that nothing names yet: the file as it was, if it was made longer for them.
    pub(super) fn abandon(&mut self, range: Range<u64>) {
        if self.medium.len() == range.end {
            // Where that fails too, they are leaked: what went wrong before is what is told.
            let _ = self.medium.set_len(range.start);
        }
        self.space.release(range);
    }

    /// Gives back `len` bytes from `host` on with the next commit.
    pub(super) fn free(&mut self, host: u64, len: u64) {
        match self.freed.last_mut() {
            Some(last) if last.end == host => last.end += len,
            _ => self.freed.push(host..host + len),
        }
    }
}

/// Which of the MiB of the file are in use.
///
/// # Errors
///
/// [`Malformed`](ErrorKind::Malformed) where blocks overlap, or are not in the file.
fn used(image: &VhdxImage, limits: &Limits) -> Result<Space> {
    let mut findings = Findings::new();
    let mut walk = Walk::new(image.file(), &image.bat, image.geometry, &image.regions, limits)?;
    walk.run(None, &mut findings)?;
    let bad = findings.kept().iter().find(|finding| finding.severity == Severity::Corruption);
    match bad {
        None => Ok(walk.into_space()),
        Some(finding) => {
            let error = Error::malformed(format!("the image is damaged, and cannot be changed: {}", finding.what));
            Err(error.at(finding.offset.unwrap_or(image.regions.bat.start)))
        }
    }
}

/// How often headers can be written: more often than anybody does while a file is open.
const UPDATES: u64 = 1 << 40;
/// Sectors of the journal that the changes of one block can take: two of the table, and the bits of the largest block.
pub(super) const ROOM: usize = 24;
