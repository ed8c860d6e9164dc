//! A sparse extent of any kind: header, directories, tables, grains, in this order.

use std::ops::Range;

use imgfmt_core::storage::is_device;
use imgfmt_core::{CheckStats, Finding, Limits, Repair, Result, Severity, Storage, StorageExt};

use super::directories::Directories;
use super::file::File;
use super::grains;
use super::job::{Job, Tells};
use super::stream;
use crate::footer;
use crate::header::{Header, Kind};
use crate::layout::{
    FLAGS_AT, Flags, HEADER_LEN, MAGIC, NEWLINES, NEWLINES_AT, SECTOR_LEN, UNCLEAN_SHUTDOWN_AT, byte_of, le_u32,
};

/// An extent whose header has been read.
pub(super) struct Opening {
    /// The header, or the footer where that places the directory.
    pub(super) header: Header,
    /// Whether the header at the start says that the extent was not closed.
    unclean: bool,
    /// Whether that is needed for it to be opened, as its size could not be mended.
    pub(super) stays_unclean: bool,
    /// Whether a footer places the directory.
    has_footer: bool,
}

/// An extent that is looked at.
pub(super) struct Subject<'a> {
    /// Its file.
    pub(super) file: &'a File,
    /// Its header, or the footer.
    pub(super) header: Header,
    /// Guest bytes.
    pub(super) size: u64,
    /// Whether it was not closed in an orderly way.
    pub(super) unclean: bool,
    /// Whether a footer places the directory.
    pub(super) has_footer: bool,
    /// Sectors of header and descriptor.
    pub(super) front: Vec<Range<u64>>,
}

impl Subject<'_> {
    /// Its bytes.
    pub(super) fn storage(&self) -> &dyn Storage {
        self.file.storage.as_ref()
    }

    /// Sectors of the file; one that it ends in counts.
    pub(super) fn file_sectors(&self) -> u64 {
        self.storage().len().div_ceil(SECTOR_LEN)
    }

    /// Sectors of a grain table.
    pub(super) fn table_sectors(&self) -> u64 {
        self.header.table_len().div_ceil(SECTOR_LEN)
    }

    /// Sectors of a grain directory.
    pub(super) fn directory_sectors(&self) -> u64 {
        (self.header.table_count() * self.header.entry_len()).div_ceil(SECTOR_LEN)
    }

    /// Whether space that nothing uses can be told from space that something uses, and is given back: on a device it is the
    /// rest of that.
    pub(super) fn has_leaks(&self) -> Result<bool> {
        Ok(self.header.kind == Kind::Hosted && !self.header.compressed && !is_device(self.storage())?)
    }
}

/// Which damage is mended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mends {
    /// None.
    Nothing,
    /// What cannot be right. When it is mended, more may be seen to be wrong.
    Wrong,
    /// That, and what is not known to be wrong, and has a copy to follow.
    All,
}

/// What a look at an extent is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Scope {
    /// Which damage is mended.
    pub(super) mends: Mends,
    /// Whether leaks are looked for.
    pub(super) leaks: bool,
}

/// Reads the header, and the footer where that counts.
///
/// # Errors
///
/// Where there is none that could be followed.
pub(super) fn open(job: &mut Job<'_, '_>, file: &File) -> Result<Opening> {
    let storage = file.storage.as_ref();
    let limits = job.context.limits;
    let mut magic = [0; MAGIC.len()];
    storage.read_padded(&mut magic, 0)?;
    if magic != MAGIC {
        let header = Header::read_any(storage, limits)?;
        return Ok(Opening { header, unclean: header.unclean, stays_unclean: false, has_footer: false });
    }
    let header = hosted_header(job, storage, limits)?;
    let mut opening =
        Opening { header, unclean: header.unclean, stays_unclean: false, has_footer: header.has_footer() };
    if opening.has_footer {
        match footer::find(storage, &header, limits) {
            Ok(footer) => opening.header = footer,
            Err(error) => {
                let what = format!("the footer cannot be used: {error}");
                job.tell(Finding::new("vmdk-footer", Severity::Corruption, what).at(error.offset().unwrap_or(0)));
            }
        }
    }
    Ok(opening)
}

/// The header of a hosted extent, whatever has become of its newline bytes.
fn hosted_header(job: &mut Job<'_, '_>, storage: &dyn Storage, limits: &Limits) -> Result<Header> {
    let mut sector = [0; HEADER_LEN];
    if storage.read_padded(&mut sector, 0)? < HEADER_LEN {
        return Header::read(storage, 0, limits);
    }
    let newlines = &mut sector[NEWLINES_AT..NEWLINES_AT + NEWLINES.len()];
    let found = format!("{newlines:02x?}");
    let changed = newlines != NEWLINES;
    newlines.copy_from_slice(&NEWLINES);
    if changed && Flags(le_u32::<FLAGS_AT, HEADER_LEN>(&sector)).has(Flags::NEWLINES) {
        let what = format!("the newline bytes are {found}: the file went through a text-mode transfer");
        job.tell(Finding::new("vmdk-newlines", Severity::Corruption, what).at(NEWLINES_AT as u64));
    }
    Header::parse(&sector, limits)
}

/// Checks the extent in `file`, of which its line says that it is `size` guest bytes.
pub(super) fn check(job: &mut Job<'_, '_>, file: &File, opening: Opening, size: Option<u64>) -> Result<()> {
    let header = opening.header;
    if header.has_footer() {
        return Ok(());
    }
    let size = size.unwrap_or(byte_of(header.capacity));
    let (unclean, has_footer) = (opening.unclean, opening.has_footer);
    let mut subject = Subject { file, header, size, unclean, has_footer, front: front_of(&header) };
    let before = std::mem::take(&mut job.trouble);
    if subject.has_footer {
        stream::check_frame(job, &subject)?;
    }
    let stats = if job.mends(Repair::All) {
        mend(job, &mut subject)?
    } else {
        examine(job, &subject, Scope { mends: Mends::Nothing, leaks: true })?.0
    };
    close(job, &subject, opening.stays_unclean)?;
    add(&mut job.stats, &stats);
    job.trouble += before;
    Ok(())
}

/// Mends everything that can be, until there is no more, and then gives back what nothing leads to any more.
///
/// What cannot be right goes first: a repair that is cut and begun again then comes to the same.
fn mend(job: &mut Job<'_, '_>, subject: &mut Subject<'_>) -> Result<CheckStats> {
    for _ in 0..MAX_ROUNDS {
        if mend_once(job, subject, Tells::Mended, Mends::Wrong)? == 0 {
            break;
        }
    }
    mend_once(job, subject, Tells::All, Mends::All)?;
    (job.tells, job.trouble) = (Tells::Leaks, 0);
    let stats = examine(job, subject, Scope { mends: Mends::Nothing, leaks: true });
    job.tells = Tells::All;
    Ok(stats?.0)
}

/// Mends what `mends` says, and puts it onto the medium; says how much that was.
fn mend_once(job: &mut Job<'_, '_>, subject: &mut Subject<'_>, tells: Tells, mends: Mends) -> Result<u64> {
    (job.tells, job.mended, job.trouble) = (tells, 0, 0);
    let found = examine(job, subject, Scope { mends, leaks: false });
    job.tells = Tells::All;
    let (_, [gd_offset, rgd_offset]) = found?;
    // A directory that had no place may have one now.
    subject.header.gd_offset = gd_offset.unwrap_or(subject.header.gd_offset);
    subject.header.rgd_offset = rgd_offset.unwrap_or(subject.header.rgd_offset);
    subject.file.target()?.sync()?;
    Ok(job.mended)
}

/// Checks the tables of the extent in `file`, which has `size` guest bytes, and nothing else.
pub(super) fn check_quickly(job: &mut Job<'_, '_>, file: &File, size: u64) -> Result<()> {
    let opening = open(job, file)?;
    let header = opening.header;
    let subject = Subject { file, header, size, unclean: false, has_footer: false, front: front_of(&header) };
    examine(job, &subject, Scope { mends: Mends::Nothing, leaks: false }).map(drop)
}

/// Looks at everything behind the header; says where the directories are then, where they are anywhere.
fn examine(job: &mut Job<'_, '_>, subject: &Subject<'_>, scope: Scope) -> Result<(CheckStats, [Option<u64>; 2])> {
    let Some(mut directories) = Directories::read(job, subject)? else {
        return Ok((CheckStats::default(), [None; 2]));
    };
    directories.check(job, subject, scope)?;
    let places = [directories.first.sector, directories.spare.as_ref().and_then(|spare| spare.sector)];
    Ok((grains::check(job, subject, &directories, scope)?, places))
}

/// Tells of an extent that was not closed, and closes it unless it `stays` so.
fn close(job: &mut Job<'_, '_>, subject: &Subject<'_>, stays: bool) -> Result<()> {
    if !subject.unclean {
        return Ok(());
    }
    let what = "the extent was not closed in an orderly way";
    let finding = Finding::new("vmdk-unclean", Severity::Warning, what);
    if subject.header.kind != Kind::Hosted {
        job.tell(finding);
        return Ok(());
    }
    let finding = finding.at(UNCLEAN_SHUTDOWN_AT as u64).mended_by(Repair::All);
    let mends = job.mends_it(&finding) && !stays;
    if mends {
        let target = subject.file.target()?;
        target.sync()?;
        target.write_at(&[0], UNCLEAN_SHUTDOWN_AT as u64)?;
        target.sync()?;
    }
    job.tell(finding.fixed(mends));
    Ok(())
}

/// Sectors of the header and of the descriptor.
fn front_of(header: &Header) -> Vec<Range<u64>> {
    let mut front: Vec<_> = std::iter::once(0..header.len().div_ceil(SECTOR_LEN)).collect();
    if header.descriptor_offset != 0 {
        let start = header.descriptor_offset;
        front.push(start..start.saturating_add(header.descriptor_size));
    }
    front
}

/// Adds what was counted in an extent.
fn add(all: &mut CheckStats, one: &CheckStats) {
    all.total_units += one.total_units;
    all.allocated_units += one.allocated_units;
    all.fragmented_units += one.fragmented_units;
    all.compressed_units += one.compressed_units;
    all.image_end = all.image_end.max(one.image_end);
}

/// Times that an extent is looked at for what cannot be right, at most.
const MAX_ROUNDS: usize = 8;
