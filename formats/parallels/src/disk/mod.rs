//! An image that is changed: where its clusters are, and where new ones can be.
//!
//! What is new is put where nothing is, and flushed before an entry leads to it. A cluster that is given up becomes a hole of the
//! file, and is used again, only after that is flushed, too.

mod place;
mod room;

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use imgfmt_core::{Check, Error, Findings, Halt, Medium, OpenContext, Result, Severity, Storage};

use crate::Parallels;
use crate::bat::Bat;
use crate::entries;
use crate::header::Header;
use crate::layout::{EMPTY, EXTENSION_AT, IN_USE};
use crate::patch::RawHeader;

pub(crate) use place::Space;
pub(crate) use room::data_offset;

/// An image, as it is in the file at any time.
pub(crate) struct Disk {
    /// The file.
    pub(crate) medium: Arc<dyn Medium>,
    /// The header.
    pub(crate) header: Header,
    /// Its bytes.
    raw: RawHeader,
    /// Places of clusters that nothing leads to and that may be used: bytes of the file.
    free: BTreeSet<u64>,
    /// Places that nothing leads to any more, which the medium may not know yet.
    freed: Vec<u64>,
    /// The first place behind all that are or were in use.
    end: u64,
    /// Stops all that would build on an entry or a header which may be there or not.
    halt: Halt,
}

impl Disk {
    /// The image in `medium`, if nothing of it has to be repaired first.
    ///
    /// # Errors
    ///
    /// [`Malformed`](imgfmt_core::ErrorKind::Malformed) where a check finds damage, [`Unsupported`](imgfmt_core::ErrorKind::Unsupported) for an image with a
    /// format extension.
    pub(crate) fn open(medium: Arc<dyn Medium>, context: &OpenContext<'_>) -> Result<Self> {
        let halt = Halt::default();
        let medium = halt.guard(medium);
        check_sound(&medium, context)?;
        let header = Header::read(medium.as_ref(), context.limits)?;
        if header.extension != 0 {
            let what = "leads to a format extension, whose dirty bitmaps would not know of what is changed";
            return Err(Error::unsupported(what).field("ext_off").at(EXTENSION_AT as u64));
        }
        let bat = Bat::read(medium.as_ref(), &header, context.limits)?;
        let mut places: Vec<_> = bat.stored().map(|(_, entry)| header.host(entry)).collect();
        places.sort_unstable();
        let (free, end) = gaps(&header, &places);
        let raw = RawHeader::read(medium.as_ref())?;
        Ok(Self { medium, header, raw, free, freed: Vec::new(), end, halt })
    }

    /// The file, to be read.
    pub(crate) fn storage(&self) -> &dyn Storage {
        self.medium.as_ref()
    }

    /// The entries of `range`.
    pub(crate) fn entries(&self, range: &Range<u64>) -> Result<Vec<u32>> {
        entries::read(self.storage(), range)
    }

    /// Writes entries, which come in the order of the BAT.
    pub(crate) fn set_entries(&self, changes: &[(u64, u32)]) -> Result<()> {
        self.halt.on_error(entries::write(self.medium.as_ref(), changes))
    }

    /// The places of the clusters of `range`, in the order of the BAT.
    pub(crate) fn places_of(&self, range: Range<u64>) -> Result<Vec<(u64, u64)>> {
        let mut places = Vec::new();
        entries::each_stored(self.storage(), range, &mut |index, entry| {
            places.push((index, self.header.host(entry)));
            Ok(())
        })?;
        Ok(places)
    }

    /// Makes the file say what `header` says, which is not flushed.
    pub(crate) fn write_header(&mut self, header: Header) -> Result<()> {
        let mut raw = self.raw;
        raw.set(&header);
        self.halt.on_error(raw.write(self.medium.as_ref()))?;
        (self.raw, self.header) = (raw, header);
        Ok(())
    }

    /// Says that the image is in use, and that its disk is not empty, before it is changed for the first time.
    ///
    /// # Errors
    ///
    /// [`Io`](imgfmt_core::ErrorKind::Io).
    pub(crate) fn mark(&mut self) -> Result<()> {
        if self.header.is_open() {
            return Ok(());
        }
        let flags = self.header.flags & !EMPTY;
        self.write_header(Header { in_use: IN_USE, flags, ..self.header.clone() })?;
        self.medium.sync()
    }

    /// Notes that no entry leads to these places any more, which may not be flushed.
    pub(crate) fn give_up(&mut self, places: impl IntoIterator<Item = u64>) {
        self.freed.extend(places);
    }

    /// Puts everything onto the medium; then what was given up becomes a hole of the file, and can be used again.
    pub(crate) fn flush(&mut self) -> Result<()> {
        self.medium.sync()?;
        let mut freed = std::mem::take(&mut self.freed);
        freed.sort_unstable();
        let cluster_len = self.header.cluster_len();
        for run in freed.chunk_by(|one, next| one + cluster_len == *next) {
            let (start, end) = (run[0], run[0] + run.len() as u64 * cluster_len);
            self.clear(start..end)?;
        }
        self.free.extend(freed);
        Ok(())
    }

    /// Flushes, ends the file behind the last cluster, and says that the image is closed: by a program that knows of no format
    /// extension, which is 0.
    pub(crate) fn close(&mut self) -> Result<()> {
        self.flush()?;
        if !self.header.is_open() {
            return Ok(());
        }
        let places = self.places_of(0..u64::from(self.header.entries))?;
        let last = places.iter().map(|(_, host)| host + self.header.cluster_len()).max();
        let end = last.unwrap_or(0).max(self.header.data_start());
        if self.storage().len() != end {
            self.medium.set_len(end)?;
            self.medium.sync()?;
        }
        self.write_header(Header { in_use: 0, ..self.header.clone() })?;
        self.medium.sync()
    }

    /// Makes host bytes zero, as far as the file has them.
    pub(crate) fn clear(&self, host: Range<u64>) -> Result<()> {
        let end = host.end.min(self.storage().len());
        if host.start < end { self.medium.clear(host.start..end) } else { Ok(()) }
    }
}

/// Checks that nothing of the image has to be repaired.
fn check_sound(medium: &Arc<dyn Medium>, context: &OpenContext<'_>) -> Result<()> {
    let mut findings = Findings::new();
    Parallels.check(Arc::clone(medium) as _, context, &mut findings)?;
    if findings.open(Severity::Corruption) == 0 {
        return Ok(());
    }
    let first = findings.kept().iter().find(|finding| finding.severity == Severity::Corruption);
    let what = first.map_or("it is damaged", |finding| &finding.what);
    let error = Error::malformed(format!("the image has to be repaired before it is changed: {what}"));
    Err(match first.and_then(|finding| finding.offset) {
        Some(at) => error.at(at),
        None => error,
    })
}

/// The places between and in front of clusters, which lie at `places` in the order of the file, and the first one behind them.
fn gaps(header: &Header, places: &[u64]) -> (BTreeSet<u64>, u64) {
    let (cluster_len, mut free) = (header.cluster_len(), BTreeSet::new());
    let mut next = header.next_place(0);
    for host in places {
        while next + cluster_len <= *host && free.len() < MAX_FREE {
            free.insert(next);
            next += cluster_len;
        }
        next = header.next_place(host + cluster_len);
    }
    (free, next)
}

/// Gaps between clusters that are known when an image is opened, at most.
const MAX_FREE: usize = 1 << 16;
