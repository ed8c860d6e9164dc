//! Both grain directories: where the tables are, and what is lost in one of them.

use std::ops::Range;

use imgfmt_core::{Error, Finding, Repair, Result, Severity, StorageExt};

use super::extent::{Mends, Scope, Subject};
use super::job::Job;
use super::layer::check_held;
use super::mend::Mender;
use crate::header::Kind;
use crate::layout::{byte_of, le_u32s, le_u64s};

/// One directory.
#[derive(Clone, Debug)]
pub(super) struct Directory {
    /// Its sector, where it is within the file.
    pub(super) sector: Option<u64>,
    /// The sector of each table: 0 where there is none, [`BAD`] where it cannot be there.
    pub(super) tables: Vec<u64>,
}

/// Both directories.
pub(super) struct Directories {
    /// The one that readers use.
    pub(super) first: Directory,
    /// The redundant one.
    pub(super) spare: Option<Directory>,
    /// Sectors of both, and of what is in front of them.
    pub(super) fixed: Vec<Range<u64>>,
}

impl Directory {
    /// Whether it says nothing at all.
    fn is_empty(&self) -> bool {
        self.tables.iter().all(|&table| table == 0)
    }

    /// Whether what it has no entry for may be lost.
    fn is_lost(&self) -> bool {
        self.is_empty() || self.tables.contains(&BAD)
    }

    /// The table number `index`, where it can be read.
    pub(super) fn table(&self, index: usize) -> Option<u64> {
        self.tables.get(index).copied().filter(|&table| is_table(table))
    }
}

impl Directories {
    /// Reads both; `None` where neither can be.
    pub(super) fn read(job: &mut Job<'_, '_>, subject: &Subject<'_>) -> Result<Option<Self>> {
        let header = &subject.header;
        let count = check_held(job.context.limits, header.table_count())?;
        let first = read_one(subject, Some(header.gd_offset).filter(|&sector| sector != 0), count)?;
        let spare = header.redundant_directory().map(|sector| read_one(subject, Some(sector), count)).transpose()?;
        if first.sector.is_none() && spare.as_ref().is_none_or(|spare| spare.sector.is_none()) {
            let what = "no grain directory lies within the file";
            job.tell(Finding::new("vmdk-directory-outside", Severity::Corruption, what).at(byte_of(header.gd_offset)));
            return Ok(None);
        }
        let mut fixed = subject.front.clone();
        let places = [first.sector, spare.as_ref().and_then(|spare| spare.sector)];
        fixed.extend(places.into_iter().flatten().map(|sector| sector..sector + subject.directory_sectors()));
        let mut found = Self { first, spare, fixed };
        found.mark_bad(subject);
        Ok(Some(found))
    }

    /// The table number `index` that readers use, and its copy where there is one.
    pub(super) fn pair(&self, index: usize) -> (Option<u64>, Option<u64>) {
        let spare = self.spare.as_ref().and_then(|spare| spare.table(index));
        match self.first.table(index) {
            Some(first) => (Some(first), spare.filter(|&spare| spare != first)),
            None => (spare, None),
        }
    }

    /// Finds tables that lie outside the file, where something else is, or where another table is.
    fn mark_bad(&mut self, subject: &Subject<'_>) {
        let (sectors, end) = (subject.table_sectors(), subject.storage().len());
        let fixed = &self.fixed;
        let outside = |table: u64| {
            let there = table..table.saturating_add(sectors);
            byte_of(table).saturating_add(subject.header.table_len()) > end
                || fixed.iter().any(|fixed| fixed.start < there.end && there.start < fixed.end)
        };
        let mut places = Vec::new();
        for (which, directory) in [Some(&mut self.first), self.spare.as_mut()].into_iter().flatten().enumerate() {
            for (index, table) in directory.tables.iter_mut().enumerate().filter(|(_, table)| **table != 0) {
                if outside(*table) {
                    *table = BAD;
                } else {
                    places.push((*table, index, which));
                }
            }
        }
        places.sort_unstable();
        for pair in places.windows(2) {
            let [(one, index, which), (other, other_index, other_which)] = pair else { continue };
            let same = one == other && index == other_index && which != other_which;
            if one + sectors > *other && !same {
                for (index, which) in [(*index, *which), (*other_index, *other_which)] {
                    let directory = if which == 0 { Some(&mut self.first) } else { self.spare.as_mut() };
                    directory.into_iter().for_each(|directory| directory.tables[index] = BAD);
                }
            }
        }
    }

    /// Tells of every entry that is lost, and mends it where `scope` says so.
    pub(super) fn check(&mut self, job: &mut Job<'_, '_>, subject: &Subject<'_>, scope: Scope) -> Result<()> {
        if self.overlap(subject) {
            self.tell_overlap(job, subject);
            return Ok(());
        }
        let mut mender = Mender::new(subject, self);
        let first_lost = self.first.is_lost();
        let spare_lost = self.spare.as_ref().is_some_and(Directory::is_empty) && !self.first.is_empty();
        for index in 0..self.first.tables.len() {
            let first = self.first.tables[index];
            let spare = self.spare.as_ref().map(|spare| spare.tables[index]);
            match (first, spare) {
                (first, Some(spare))
                    if is_table(spare)
                        && !is_table(first)
                        && (first == BAD || first_lost || !is_empty_table(subject, spare)?) =>
                {
                    self.tell_lost(job, subject, Which::First, index, true);
                    mender.copy_table(index, spare, Which::First);
                }
                (first, Some(spare))
                    if is_table(first)
                        && !is_table(spare)
                        && (spare == BAD || spare_lost || !is_empty_table(subject, first)?) =>
                {
                    self.tell_lost(job, subject, Which::Spare, index, true);
                    mender.copy_table(index, first, Which::Spare);
                }
                (BAD, Some(0)) if self.spare.as_ref().is_some_and(|spare| !spare.is_lost()) => {
                    self.tell_lost(job, subject, Which::First, index, true);
                    mender.forget_table(index, Which::First);
                }
                (BAD, _) => self.tell_lost(job, subject, Which::First, index, false),
                // A directory that says nothing is no better witness than one that says something odd: readers take that one.
                (0, Some(BAD)) if !first_lost => {
                    self.tell_lost(job, subject, Which::Spare, index, true);
                    mender.forget_table(index, Which::Spare);
                }
                (0, Some(BAD)) => self.tell_lost(job, subject, Which::Spare, index, false),
                _ => {}
            }
        }
        if scope.mends == Mends::Nothing { Ok(()) } else { mender.run(self) }
    }

    /// Whether the two lie in each other's place: then an entry of one is another entry of the other.
    fn overlap(&self, subject: &Subject<'_>) -> bool {
        let spare = self.spare.as_ref().and_then(|spare| spare.sector);
        self.first.sector.zip(spare).is_some_and(|(first, spare)| {
            let apart = first.abs_diff(spare);
            apart != 0 && apart < subject.directory_sectors()
        })
    }

    /// Tells of two that lie in each other's place, and of what the first has lost. To mend an entry would damage another, and
    /// which of the two is where it belongs nobody knows.
    fn tell_overlap(&self, job: &mut Job<'_, '_>, subject: &Subject<'_>) {
        let what = "the two grain directories lie in each other's place";
        let finding = Finding::new("vmdk-directories-overlap", Severity::Corruption, what);
        job.tell(finding.at(self.entry_at(subject, Which::Spare, 0)));
        for (index, _) in self.first.tables.iter().enumerate().filter(|(_, table)| **table == BAD) {
            self.tell_lost(job, subject, Which::First, index, false);
        }
    }

    /// Tells of an entry that is lost.
    fn tell_lost(&self, job: &mut Job<'_, '_>, subject: &Subject<'_>, which: Which, index: usize, other: bool) {
        let (id, name) = match which {
            Which::First => ("vmdk-directory-entry", "the grain directory"),
            Which::Spare => ("vmdk-redundant-directory-entry", "the redundant grain directory"),
        };
        let what = format!("entry {index} of {name} leads to no grain table of its own within the file");
        let finding = Finding::new(id, Severity::Corruption, what).at(self.entry_at(subject, which, index));
        let finding = finding.guest(index as u64 * u64::from(subject.header.gtes_per_gt) * subject.header.grain_len());
        let mends = other && subject.header.kind == Kind::Hosted;
        let finding = if mends { finding.mended_by(Repair::All) } else { finding };
        let fixed = job.mends_it(&finding);
        job.tell(finding.fixed(fixed));
    }

    /// The host byte of an entry, where its directory has a place.
    fn entry_at(&self, subject: &Subject<'_>, which: Which, index: usize) -> u64 {
        let directory = match which {
            Which::First => Some(&self.first),
            Which::Spare => self.spare.as_ref(),
        };
        let sector = directory.and_then(|directory| directory.sector).unwrap_or(0);
        byte_of(sector).saturating_add(index as u64 * subject.header.entry_len())
    }

    /// One of the two.
    pub(super) fn get_mut(&mut self, which: Which) -> Option<&mut Directory> {
        match which {
            Which::First => Some(&mut self.first),
            Which::Spare => self.spare.as_mut(),
        }
    }
}

/// Which of the two directories.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    /// The one that readers use.
    First,
    /// The redundant one.
    Spare,
}

/// Reads the directory at `sector`; where it is not within the file, all its entries are bad.
fn read_one(subject: &Subject<'_>, sector: Option<u64>, count: usize) -> Result<Directory> {
    let header = &subject.header;
    let len = header.table_count() * header.entry_len();
    let there = sector.filter(|&sector| {
        let reach = sector.saturating_add(subject.directory_sectors());
        let clear = subject.front.iter().all(|front| reach <= front.start || front.end <= sector);
        clear && byte_of(sector).saturating_add(len) <= subject.storage().len()
    });
    let Some(sector) = there else {
        return Ok(Directory { sector: None, tables: vec![BAD; count] });
    };
    let bytes = subject.storage().read_vec(byte_of(sector), usize::try_from(len).unwrap_or(usize::MAX))?;
    let tables = match &header.kind {
        Kind::Hosted | Kind::Cowd => le_u32s(&bytes).iter().map(|&entry| u64::from(entry)).collect(),
        Kind::SeSparse(places) => le_u64s(&bytes).iter().map(|&entry| places.table(entry).unwrap_or(BAD)).collect(),
    };
    Ok(Directory { sector: Some(sector), tables })
}

/// Whether an entry leads to a table.
fn is_table(entry: u64) -> bool {
    entry != 0 && entry != BAD
}

/// Whether no grain is stored by the table at `sector`.
fn is_empty_table(subject: &Subject<'_>, sector: u64) -> Result<bool> {
    let bytes = read_table(subject, sector)?;
    Ok(bytes.iter().all(|&byte| byte == 0))
}

/// The bytes of the table at `sector`, which is within the file.
pub(super) fn read_table(subject: &Subject<'_>, sector: u64) -> Result<Vec<u8>> {
    let len = usize::try_from(subject.header.table_len()).map_err(|_| Error::limit("a table is too long"))?;
    subject.storage().read_vec(byte_of(sector), len)
}

/// What stands for an entry that cannot be right.
pub(super) const BAD: u64 = u64::MAX;
