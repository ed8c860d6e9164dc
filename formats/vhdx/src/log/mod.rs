//! The log: what was about to be written when the file was left. It is replayed in memory, for reading; the file stays
//! as it is, unless somebody asks for [its replay](apply).

pub(crate) mod apply;
mod entry;
mod overlay;
pub(crate) mod write;

use std::ops::ControlFlow;
use std::sync::Arc;

use imgfmt_core::{Error, Limits, Result, Storage, StorageExt};

use crate::header::Header;
use crate::layout::{HEADERS_AT, LOG_GUID_AT};
use entry::{Change, Entry, Ring};
use overlay::{Overlay, Patches};

/// What a replay has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Replay {
    /// Entries of the sequence.
    pub(crate) entries: u64,
    /// Sectors that were replaced.
    pub(crate) sectors: u64,
    /// Bytes that were zeroed.
    pub(crate) zeroed: u64,
}

/// The file as it is once the log is replayed. Without a log, it is the file itself.
///
/// # Errors
///
/// As [`Pending::read`].
pub(crate) fn replay(
    storage: Arc<dyn Storage>,
    header: &Header,
    limits: &Limits,
) -> Result<(Arc<dyn Storage>, Option<Replay>)> {
    let Some(pending) = Pending::read(storage.as_ref(), header, limits)? else {
        return Ok((storage, None));
    };
    let overlay = Overlay::new(storage, pending.patches, pending.last);
    Ok((Arc::new(overlay), Some(pending.done)))
}

/// The file with some sectors replaced.
///
/// # Errors
///
/// [`LimitExceeded`](imgfmt_core::ErrorKind::LimitExceeded) where there are too many.
pub(crate) fn with_sectors(
    storage: Arc<dyn Storage>,
    sectors: &[write::Sector<'_>],
    limits: &Limits,
) -> Result<Arc<dyn Storage>> {
    let mut patches = Patches::new(limits.items);
    for (at, bytes) in sectors {
        patches.add(&Change::Sector { at: *at, parts: [bytes.as_slice(), &[], &[]] })?;
    }
    Ok(Arc::new(Overlay::new(storage, patches, 0)))
}

/// What a log holds, checked as a whole.
struct Pending {
    /// What replaces bytes of the file.
    patches: Patches,
    /// The file has to be this long, in bytes.
    last: u64,
    /// How much it is.
    done: Replay,
}

impl Pending {
    /// Reads the log that `header` names; `None` where it names none.
    ///
    /// # Errors
    ///
    /// [`Malformed`](imgfmt_core::ErrorKind::Malformed) where the header names a log and nothing in it is whole,
    /// [`OutOfBounds`](imgfmt_core::ErrorKind::OutOfBounds) where the file is shorter than it was when the log was written,
    /// [`LimitExceeded`](imgfmt_core::ErrorKind::LimitExceeded) for a log that is too long, or would take too long to check.
    fn read(storage: &dyn Storage, header: &Header, limits: &Limits) -> Result<Option<Self>> {
        if !header.has_log() {
            return Ok(None);
        }
        let len = limits.table_len("LogLength", u64::from(header.log_len), 1)?;
        let bytes = storage.read_vec(header.log_offset, len).map_err(|e| e.context("the log cannot be read"))?;
        let ring = Ring(&bytes);
        let sequence = Search::new(ring, header).active()?.ok_or_else(|| {
            let what = "names a log to replay, but no sequence of entries in it is whole";
            Error::malformed(what).field("LogGuid").at(HEADERS_AT[0] + LOG_GUID_AT as u64)
        })?;
        let (flushed, last) = sequence.last().map_or((0, 0), |head| (head.flushed, head.last));
        if storage.len() < flushed {
            let what = format!("is {flushed}, but the file ends at byte {}: it has been cut", storage.len());
            return Err(Error::out_of_bounds(what).field("FlushedFileOffset").at(header.log_offset));
        }
        let mut patches = Patches::new(limits.items);
        let mut done = Replay { entries: sequence.len() as u64, sectors: 0, zeroed: 0 };
        for entry in &sequence {
            done.apply(entry, ring, &mut patches)?;
        }
        Ok(Some(Self { patches, last, done }))
    }
}

impl Replay {
    /// Makes the changes of `entry`.
    fn apply(&mut self, entry: &Entry, ring: Ring<'_>, patches: &mut Patches) -> Result<()> {
        let mut outcome = Ok(());
        let whole = entry.changes(ring, |change| {
            match change {
                Change::Sector { .. } => self.sectors += 1,
                Change::Zero { len, .. } => self.zeroed = self.zeroed.saturating_add(len),
            }
            outcome = patches.add(&change);
            if outcome.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        outcome?;
        whole.ok_or_else(|| Error::malformed("an entry of the log is damaged"))
    }
}

/// Looks for the sequence of entries that counts.
struct Search<'a> {
    /// The log.
    ring: Ring<'a>,
    /// What begins with each sector, if anything does.
    entries: Vec<Option<Entry>>,
    /// Whether it is whole, once somebody had to know.
    whole: Vec<Option<bool>>,
    /// Sectors that may still be looked at for that.
    budget: usize,
}

impl<'a> Search<'a> {
    /// A search of `ring`, the log of `header`.
    fn new(ring: Ring<'a>, header: &Header) -> Self {
        let count = ring.sectors();
        let entries = (0..count).map(|first| Entry::parse(ring, first, header.log_guid)).collect();
        Self { ring, entries, whole: vec![None; count], budget: count.saturating_mul(CHECKS_PER_SECTOR) }
    }

    /// The sequence that ends with the greatest number. Specification, § 2.3.2: each number is one more than the one
    /// before, and the last entry says where the first one is.
    fn active(mut self) -> Result<Option<Vec<Entry>>> {
        let mut heads: Vec<Entry> = self.entries.iter().flatten().copied().collect();
        heads.sort_by_key(|entry| std::cmp::Reverse(entry.sequence));
        for head in heads {
            if !self.is_whole(&head)? {
                continue;
            }
            if let Some(sequence) = self.sequence_to(&head)? {
                return Ok(Some(sequence));
            }
        }
        Ok(None)
    }

    /// The entries from the tail of `head` up to it, if they are a sequence.
    fn sequence_to(&mut self, head: &Entry) -> Result<Option<Vec<Entry>>> {
        let (mut at, mut sectors) = (head.tail, 0);
        let mut sequence: Vec<Entry> = Vec::new();
        while let Some(entry) = self.entries[at % self.ring.sectors()] {
            sectors += entry.sectors;
            let follows = sequence.last().is_none_or(|last| last.sequence.checked_add(1) == Some(entry.sequence));
            if !follows || sectors > self.ring.sectors() || entry.sequence > head.sequence || !self.is_whole(&entry)? {
                return Ok(None);
            }
            sequence.push(entry);
            if entry == *head {
                return Ok(Some(sequence));
            }
            at = entry.first + entry.sectors;
        }
        Ok(None)
    }

    /// Whether an entry is whole; looked at once.
    fn is_whole(&mut self, entry: &Entry) -> Result<bool> {
        if let Some(known) = self.whole[entry.first] {
            return Ok(known);
        }
        self.budget = self.budget.checked_sub(entry.sectors).ok_or_else(|| {
            Error::limit(format!("the log of {} bytes has entries that overlap too often", self.ring.0.len()))
        })?;
        let whole = entry.is_whole(self.ring);
        self.whole[entry.first] = Some(whole);
        Ok(whole)
    }
}

/// How often a sector may be looked at as part of an entry, on average. Entries that others have been written over
/// overlap a little; a log in which all do would take hours to check.
const CHECKS_PER_SECTOR: usize = 16;
