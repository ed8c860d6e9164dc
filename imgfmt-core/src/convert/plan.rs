//! Walks the map of the source ahead of the workers and cuts it into jobs.

use std::collections::VecDeque;
use std::ops::Range;

use super::ask::Ask;
use super::held::Held;
use super::salvage::Rescue;
use crate::Result;
use crate::extent::{Extent, ExtentKind};
use crate::holes::Holes;
use crate::image::{EXTENTS_AT_ONCE, ExtentBudget, Image};
use crate::writer::{Form, Piece};

/// A run of work, and the runs without work that come before it.
#[derive(Debug, Default)]
pub(super) struct Job {
    /// Position in the order of jobs, from 0 on without gaps.
    pub(super) seq: u64,
    /// Zero and absent pieces before `range`, touching it.
    pub(super) before: Vec<Piece>,
    /// Guest bytes to read: starts at a unit, ends at a unit or the end of the disk. May be empty.
    pub(super) range: Range<u64>,
    /// What lies in `range`, all of it.
    pub(super) extents: Vec<Extent>,
    /// The image that the extents are of, where it is not the source: what a stream has handed out.
    pub(super) held: Option<Held>,
}

impl Job {
    /// The image that the extents are of, where `source` is that of all jobs.
    pub(super) fn source<'a>(&'a self, source: &'a dyn Image) -> &'a dyn Image {
        self.held.as_ref().map_or(source, |held| held)
    }

    /// Guest bytes that are settled with this job.
    pub(super) fn guest_len(&self) -> u64 {
        self.before.iter().map(|piece| piece.len).sum::<u64>() + (self.range.end - self.range.start)
    }
}

/// How the plan is to be cut.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cut {
    /// Guest bytes that are placed as one.
    pub(super) unit: u64,
    /// Guest bytes of a job, unless a unit is larger.
    pub(super) job_len: u64,
    /// Layers whose bytes are left to the backing file of the new image: this one and those below.
    pub(super) absent_from: Option<u16>,
    /// Whether zeros are work like any other bytes.
    pub(super) zeros_as_data: bool,
}

impl Cut {
    /// The form of an extent that needs no work, if it is one.
    pub(super) fn idle_form(&self, extent: &Extent) -> Option<Form> {
        if self.absent_from.is_some_and(|layer| extent.layer >= layer) {
            return Some(Form::Absent);
        }
        (extent.is_zero() && !self.zeros_as_data).then_some(Form::Zero)
    }
}

/// Hands out jobs in guest order.
pub(super) struct Planner<'a> {
    /// What is converted.
    source: &'a dyn Image,
    /// How to cut.
    cut: Cut,
    /// First guest byte that is in no job yet; at a unit.
    next: u64,
    /// Extents from `next` on, as far as they are known.
    known: VecDeque<Extent>,
    /// The guest byte up to which extents are known.
    mapped: u64,
    /// The next job's position.
    seq: u64,
    /// Room for one answer of the map.
    answer: Vec<Extent>,
    /// What is known of the holes in the files of the source.
    holes: Holes,
    /// Ends a map that has no end.
    budget: ExtentBudget,
    /// How it goes on where the map cannot be followed, if that is no error.
    rescue: Option<Rescue<'a>>,
    /// How much of the map is asked for at once.
    ask: Ask,
}

impl<'a> Planner<'a> {
    /// A plan for all of `source`.
    pub(super) fn new(source: &'a dyn Image, cut: Cut, rescue: Option<Rescue<'a>>) -> Self {
        Self {
            source,
            cut,
            next: 0,
            known: VecDeque::new(),
            mapped: 0,
            seq: 0,
            answer: Vec::new(),
            holes: Holes::new(),
            budget: ExtentBudget::of(source.sources()),
            rescue,
            ask: Ask::new(),
        }
    }

    /// Guest bytes of the disk.
    pub(super) fn size(&self) -> u64 {
        self.source.size()
    }

    /// The next job, or `None` at the end of the disk.
    pub(super) fn next_job(&mut self) -> Result<Option<Job>> {
        let mut job = Job { seq: self.seq, ..Job::default() };
        self.skip_idle(&mut job.before)?;
        let mut end = self.work_end()?;
        if end == self.next && job.before.is_empty() {
            // A unit of several idle forms has to be looked at after all.
            end = self.next.saturating_add(self.cut.unit).min(self.source.size());
        }
        job.range = self.next..end;
        // A whole unit may end behind a compressed one of the source, which was the last that is known.
        while self.mapped < end {
            self.map_more()?;
        }
        self.take_until(job.range.end, &mut job.extents);
        self.next = job.range.end;
        if job.before.is_empty() && job.range.is_empty() {
            return Ok(None);
        }
        self.seq += 1;
        Ok(Some(job))
    }

    /// Moves over whole units that need no work.
    fn skip_idle(&mut self, pieces: &mut Vec<Piece>) -> Result<()> {
        while self.next < self.source.size() && pieces.len() < EXTENTS_AT_ONCE {
            let Some((form, end)) = self.idle_run()? else {
                break;
            };
            pieces.push(Piece { guest: self.next, len: end - self.next, form });
            self.next = end;
            self.drop_until(end);
        }
        Ok(())
    }

    /// The run of whole units from `next` on that need no work and are of one form, if there is one.
    fn idle_run(&mut self) -> Result<Option<(Form, u64)>> {
        let mut form = None;
        let mut end = self.next;
        for index in 0.. {
            let Some(extent) = self.extent(index)?.filter(|_| index < EXTENTS_AT_ONCE) else {
                break;
            };
            match (self.cut.idle_form(&extent), form) {
                (Some(this), None) => form = Some(this),
                (Some(this), Some(first)) if this == first => {}
                _ => break,
            }
            end = extent.end();
        }
        let whole = if end == self.source.size() { end } else { end - end % self.cut.unit };
        Ok(form.filter(|_| whole > self.next).map(|form| (form, whole)))
    }

    /// The end of the work that starts at `next`: a job's length at most, unless a unit on either side is
    /// larger, and without idle units at its end.
    fn work_end(&mut self) -> Result<u64> {
        let size = self.source.size();
        let limit = self.next.saturating_add(self.cut.job_len).min(size);
        let mut end = self.next;
        for index in 0.. {
            let Some(extent) = self.extent(index)? else {
                break;
            };
            if extent.start >= limit {
                break;
            }
            if self.cut.idle_form(&extent).is_none() {
                // A compressed unit is not cut in two, or it would be decoded twice.
                let whole = if matches!(extent.kind, ExtentKind::Encoded(_)) { extent.end() } else { limit };
                end = extent.end().min(limit.max(whole));
            }
        }
        Ok(end.checked_next_multiple_of(self.cut.unit).unwrap_or(size).min(size))
    }

    /// The known extent number `index` from `next` on; asks for more where there are too few.
    fn extent(&mut self, index: usize) -> Result<Option<Extent>> {
        while self.known.len() <= index && self.mapped < self.source.size() {
            self.map_more()?;
        }
        Ok(self.known.get(index).copied())
    }

    /// Asks for the extents behind those that are known. Of what the map cannot tell, the least there is is lost, and zero.
    fn map_more(&mut self) -> Result<()> {
        loop {
            self.answer.clear();
            let range = self.ask.range(self.mapped, self.source.size());
            match (self.holes.extents(self.source, range.clone(), EXTENTS_AT_ONCE, &mut self.answer), self.rescue) {
                (Ok(mapped), _) => {
                    self.mapped = mapped;
                    self.ask.answered();
                    self.budget.spend(self.answer.len())?;
                    self.known.extend(self.answer.iter().copied());
                    return Ok(());
                }
                (Err(error), None) => return Err(error),
                (Err(_), Some(rescue)) => rescue.go_on()?,
            }
            if self.ask.failed(&range, self.least()) {
                return self.lose_end(range);
            }
        }
    }

    /// The least that is lost where the map cannot be followed.
    fn least(&self) -> u64 {
        self.source.describe().cluster_size.unwrap_or(SECTOR_LEN).clamp(SECTOR_LEN, self.cut.job_len)
    }

    /// Goes on behind `range`, which the map cannot tell as a whole: of a unit that was cut with its file, it can tell the start.
    fn lose_end(&mut self, range: Range<u64>) -> Result<()> {
        let (mut told, mut untold) = (range.start, range.end);
        let mut next = SECTOR_LEN;
        while untold - told > SECTOR_LEN {
            self.rescue.map_or(Ok(()), |rescue| rescue.go_on())?;
            let until = told + next;
            self.answer.clear();
            match self.holes.extents(self.source, told..until, EXTENTS_AT_ONCE, &mut self.answer) {
                Ok(end) => {
                    told = end;
                    self.budget.spend(self.answer.len())?;
                    self.known.extend(self.answer.iter().copied());
                }
                // Where there is no start, this is the end of the search.
                Err(_) => untold = until,
            }
            next = ((untold - told) / 2 / SECTOR_LEN * SECTOR_LEN).max(SECTOR_LEN);
        }
        self.lose(told..range.end);
        Ok(())
    }

    /// Goes on behind `range`, of which nothing is known.
    fn lose(&mut self, range: Range<u64>) {
        self.mapped = range.end;
        let (start, len) = (range.start, range.end - range.start);
        match self.known.back_mut() {
            Some(last) if last.kind == LOST && last.end() == start => last.len += len,
            _ => self.known.push_back(Extent { start, len, layer: 0, kind: LOST }),
        }
        if let Some(rescue) = self.rescue {
            rescue.salvage.lose(range);
        }
    }

    /// Forgets what lies before `end`.
    fn drop_until(&mut self, end: u64) {
        while let Some(first) = self.known.front_mut() {
            if first.end() <= end {
                self.known.pop_front();
                continue;
            }
            if first.start < end {
                *first = first.clipped(&(end..u64::MAX));
            }
            break;
        }
    }

    /// Moves what lies before `end` to `extents`.
    fn take_until(&mut self, end: u64, extents: &mut Vec<Extent>) {
        for extent in &self.known {
            if extent.start >= end {
                break;
            }
            extents.push(extent.clipped(&(0..end)));
        }
        self.drop_until(end);
    }
}

/// What the map could not tell becomes.
const LOST: ExtentKind = ExtentKind::Zero { explicit: false };
/// Guest bytes that are lost at least where the map cannot be followed, and the format has no unit.
const SECTOR_LEN: u64 = 512;
