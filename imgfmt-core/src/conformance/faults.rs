//! Contracts of editors and of repair on media that fail.

use std::collections::BTreeSet;
use std::ops::Range;

use super::editing::{Edited, Step, apply};
use super::failing::{Done, Failing, Fault};
use super::files::Files;
use super::recording::Recording;
use super::whole_message;
use crate::check::{Findings, Repair, Severity};
use crate::editor::ImageEditor;
use crate::{ErrorKind, Result};

/// Does `steps` while operations of the medium fail: each alone, each with all that follow, and those that take space from each
/// on.
///
/// What was there before a step that failed is there, or what the step would have put there, sector by sector, and what other
/// steps did is as they did it; the image opens, and repair mends what a check finds. After a flush that failed, nothing more
/// is written. Where the power is cut in the end, what was flushed is there.
///
/// # Panics
///
/// Where a contract is broken.
pub fn check_faults(edited: &Edited<'_>, steps: &[Step]) {
    let first = edited.read(&Recording::new(edited.files).files()).expect("the image reads before it is edited");
    let (tried, outcome) = with_fault(edited, steps, &first, &Fault::Operations(0..0, Done::Nothing));
    outcome.unwrap_or_else(|e| panic!("{}", whole_message(&e)));
    for number in 0..tried {
        for fault in faults_at(number, tried) {
            let _ = with_fault(edited, steps, &first, &fault);
        }
    }
}

/// Repairs the image while operations of the medium fail, as in [`check_faults`]: what could be read can be read, and a repair
/// without failures leads to the same image as if there had been none.
///
/// # Panics
///
/// Where a contract is broken.
pub(super) fn check_repair_faults(edited: &Edited<'_>, repair: Repair) {
    let run = |start: &[(String, Vec<u8>)], fault: &Fault| {
        let recording = Recording::new(start);
        let failing = Failing::new(&recording.files(), &names(edited), fault.clone());
        let outcome = edited.check(&failing.files(), Some(repair));
        assert_unchanged_after_flush(&failing, fault);
        (recording.now(), failing.tried(), outcome)
    };
    let never = Fault::Operations(0..0, Done::Nothing);
    let content = |files: &[(String, Vec<u8>)]| edited.read(&Recording::new(files).files()).ok();
    let (whole, tried, outcome) = run(edited.files, &never);
    let open =
        |findings: &Findings| [Severity::Leak, Severity::Unchecked, Severity::Corruption].map(|s| findings.open(s));
    let open_then = outcome.map_or_else(|e| panic!("{}", whole_message(&e)), |(findings, _)| open(&findings));
    let (before, after) = (content(edited.files), content(&whole));
    for fault in (0..tried).flat_map(|number| faults_at(number, tried)) {
        let (left, ..) = run(edited.files, &fault);
        let read = content(&left);
        assert!(read == before || read == after, "{fault:?} of {tried}: another disk");
        let (mended, _, outcome) = run(&left, &never);
        let (findings, _) = outcome.unwrap_or_else(|e| panic!("{}: {fault:?} of {tried}", whole_message(&e)));
        assert_eq!(open(&findings), open_then, "{fault:?} of {tried}: {:?}", findings.kept());
        assert!(content(&mended) == after, "{fault:?} of {tried}: another disk when it was repaired again");
    }
}

/// Does `act`, which makes one change of the image as a whole, while operations of the medium fail, as in [`check_faults`]: the disk
/// is the one before or the one after.
///
/// # Panics
///
/// Where a contract is broken.
pub fn check_change_faults(edited: &Edited<'_>, act: &dyn Fn(&Files) -> Result<()>) {
    let run = |fault: &Fault| {
        let recording = Recording::new(edited.files);
        let failing = Failing::new(&recording.files(), &names(edited), fault.clone());
        let outcome = act(&failing.files());
        assert_unchanged_after_flush(&failing, fault);
        assert!(failing.failed() == 0 || outcome.is_err(), "nobody tells of the failure: {fault:?}");
        (recording, failing.tried(), outcome)
    };
    let content = |files: &[(String, Vec<u8>)]| edited.read(&Recording::new(files).files()).ok();
    let (whole, tried, outcome) = run(&Fault::Operations(0..0, Done::Nothing));
    outcome.unwrap_or_else(|e| panic!("{}", whole_message(&e)));
    let disks = [content(edited.files), content(&whole.now())];
    let repair = edited.format.abilities().check.and_then(|check| check.repairs());
    for fault in (0..tried).flat_map(|number| faults_at(number, tried)) {
        let (left, ..) = run(&fault);
        for left in [left.now(), cut_in_the_end(&left)] {
            let what = format!("{fault:?} of {tried}");
            let left = Recording::new(&left);
            assert!(disks.contains(&content(&left.now())), "another disk: {what}");
            if let Some(repair) = repair {
                mend(edited, &left.files(), repair, &what);
                assert!(disks.contains(&content(&left.now())), "another disk, repaired: {what}");
            }
        }
    }
}

/// The files as a cut in the end leaves them: what was not flushed is lost, every other sector of it.
fn cut_in_the_end(recording: &Recording) -> Vec<(String, Vec<u8>)> {
    let mut kept = recording.len().is_multiple_of(2);
    let mut keep = || {
        kept = !kept;
        kept
    };
    recording.cut(recording.len(), &mut keep)
}

/// What may fail at operation `number` of `tried`: of many, not in every way at each.
fn faults_at(number: usize, tried: usize) -> impl Iterator<Item = Fault> {
    let once = |done| Fault::Operations(number..number + 1, done);
    let all = Fault::Operations(number..usize::MAX, Done::Nothing);
    let faults = [once(Done::Half), all, once(Done::All), Fault::Full(number)];
    let turn = number / 2 + number;
    faults
        .into_iter()
        .enumerate()
        .filter(move |(index, _)| tried <= MANY || (index / 2 + turn).is_multiple_of(2))
        .map(|(_, f)| f)
}

/// The names of the files of an image.
fn names<'a>(edited: &Edited<'a>) -> Vec<&'a str> {
    edited.files.iter().map(|(name, _)| name.as_str()).collect()
}

/// Checks that nothing was changed after a flush had failed.
fn assert_unchanged_after_flush(failing: &Failing, fault: &Fault) {
    let changed = failing.changed_after_failed_flush();
    assert!(changed.is_none(), "{fault:?}: a flush had failed, and then there was {changed:?}");
}

/// Does `steps`, closes the image, and looks at what there is then. Returns how many operations were tried, and what
/// closing said.
fn with_fault(edited: &Edited<'_>, steps: &[Step], first: &[u8], fault: &Fault) -> (usize, Result<()>) {
    let recording = Recording::new(edited.files);
    let failing = Failing::new(&recording.files(), &names(edited), fault.clone());
    let what = format!("{fault:?} of {steps:?}");
    let mut disk = Possible::new(first);
    let mut told = false;
    let outcome = edited.edit(&failing.files(), &mut |editor| {
        for step in steps {
            let done = apply(editor, step);
            told |= done.is_err();
            disk.apply(step, done.is_ok());
            // Whoever asks for a reader has tables written, so not each time.
            if matches!(fault, Fault::Operations(_, Done::All)) {
                check_live(editor, &disk.now, &format!("after {step:?}, {what}"));
            }
        }
        Ok(true)
    });
    assert_unchanged_after_flush(&failing, fault);
    assert!(failing.failed() == 0 || told || outcome.is_err(), "nobody tells of the failure: {what}");
    if outcome.is_ok() {
        disk.flushed();
    }
    // Where it could not be closed, it is left as by a cut.
    check_left(edited, &recording.now(), &disk.since, &what);
    let cut = cut_in_the_end(&recording);
    check_left(edited, &cut, &disk.since, &format!("cut in the end, {what}"));
    (failing.tried(), outcome)
}

/// Checks that the editor shows what may be there, if it shows anything after what has failed.
fn check_live(editor: &dyn ImageEditor, state: &State, what: &str) {
    let image = match editor.image() {
        Ok(image) => image,
        Err(error) if error.kind() == ErrorKind::Io => return,
        Err(error) => panic!("{}: {what}", whole_message(&error)),
    };
    let mut sector = [0; SECTOR_LEN];
    for start in (0..image.size()).step_by(SECTOR_LEN) {
        let len = SECTOR_LEN.min(usize::try_from(image.size() - start).unwrap_or(SECTOR_LEN));
        match image.read_at(&mut sector[..len], start) {
            Ok(()) => {
                let found = &sector[..len.min(1)];
                assert!(
                    state.knows(start, &sector[..len]),
                    "the editor shows another byte {start}, which begins with {found:?}: {what}"
                );
            }
            Err(error) if error.kind() == ErrorKind::Missing => {}
            Err(error) => panic!("{}: {what}", whole_message(&error)),
        }
    }
}

/// Checks that the image shows what may be there, before a repair and after, which mends all that is found.
fn check_left(edited: &Edited<'_>, left: &[(String, Vec<u8>)], state: &State, what: &str) {
    let files = Recording::new(left).files();
    assert_known(edited, &files, state, what);
    let Some(repair) = edited.format.abilities().check.and_then(|check| check.repairs()) else { return };
    mend(edited, &files, repair, what);
    assert_known(edited, &files, state, &format!("repaired, {what}"));
}

/// Repairs the image, after which nothing is wrong with it.
fn mend(edited: &Edited<'_>, files: &Files, repair: Repair, what: &str) {
    edited.check(files, Some(repair)).unwrap_or_else(|e| panic!("repair: {}: {what}", whole_message(&e)));
    let (findings, _) = edited.check(files, None).unwrap_or_else(|e| panic!("{}: {what}", whole_message(&e)));
    let bad = [Severity::Leak, Severity::Unchecked, Severity::Corruption];
    assert!(bad.iter().all(|severity| findings.open(*severity) == 0), "{:?}: {what}", findings.kept());
}

/// Checks that the image shows what may be there.
fn assert_known(edited: &Edited<'_>, files: &Files, state: &State, what: &str) {
    let read = edited.read(files).unwrap_or_else(|e| panic!("{}: {what}", whole_message(&e)));
    assert!(state.sizes.contains(&(read.len() as u64)), "the disk has {} bytes: {what}", read.len());
    for (index, sector) in read.chunks(SECTOR_LEN).enumerate() {
        let start = (index * SECTOR_LEN) as u64;
        assert!(state.knows(start, sector), "sector {index} is neither old nor new: {what}");
    }
}

/// A sector, with zeros where the disk ends in it.
type Sector = [u8; SECTOR_LEN];

/// What may be on a disk.
#[derive(Clone)]
struct State {
    /// The sizes that it may have.
    sizes: BTreeSet<u64>,
    /// What each sector may hold. Those behind them are zero.
    sectors: Vec<Vec<Sector>>,
}

/// What may be on a disk that is edited.
struct Possible {
    /// As it is.
    now: State,
    /// What it may be after a cut: all that has been since the last flush.
    since: State,
}

impl Possible {
    /// A disk that holds `bytes`.
    fn new(bytes: &[u8]) -> Self {
        let sector = |part: &[u8]| {
            let mut sector = [0; SECTOR_LEN];
            sector[..part.len()].copy_from_slice(part);
            vec![sector]
        };
        let sectors = bytes.chunks(SECTOR_LEN).map(sector).collect();
        let state = State { sizes: BTreeSet::from([bytes.len() as u64]), sectors };
        Self { now: state.clone(), since: state }
    }

    /// Does `step`, as far as it succeeded: else each sector may be old or new.
    fn apply(&mut self, step: &Step, succeeded: bool) {
        if *step == Step::Flush && succeeded {
            return self.flushed();
        }
        let old = self.now.clone();
        self.now.apply(step);
        if !succeeded {
            self.now.merge(&old);
        }
        self.since.merge(&self.now);
    }

    /// Everything is on the medium.
    fn flushed(&mut self) {
        self.since = self.now.clone();
    }
}

impl State {
    /// Whether the sector that begins with guest byte `start` may be this one, of which `bytes` are on the disk.
    fn knows(&self, start: u64, bytes: &[u8]) -> bool {
        let index = usize::try_from(start).unwrap_or(usize::MAX) / SECTOR_LEN;
        match self.sectors.get(index) {
            Some(known) => known.iter().any(|sector| sector.starts_with(bytes)),
            None => bytes.iter().all(|byte| *byte == 0),
        }
    }

    /// Adds what may be there in `other`.
    fn merge(&mut self, other: &Self) {
        self.sizes.extend(&other.sizes);
        let zero = vec![[0; SECTOR_LEN]];
        let len = self.sectors.len().max(other.sectors.len());
        self.sectors.resize(len, zero.clone());
        for (index, known) in self.sectors.iter_mut().enumerate() {
            for sector in other.sectors.get(index).unwrap_or(&zero) {
                if !known.contains(sector) {
                    known.push(*sector);
                }
            }
        }
    }

    /// Does `step`.
    fn apply(&mut self, step: &Step) {
        match *step {
            Step::Write(offset, len, value) | Step::Encoded(offset, len, value) => {
                let end = self.sizes.last().map_or(0, |size| (offset + len).min(*size));
                self.fill(offset..end, value);
            }
            Step::Erase(offset, len, _) => self.fill(offset..offset + len, 0),
            Step::Resize(size, _) => {
                self.fill(size..u64::MAX, 0);
                self.sizes = BTreeSet::from([size]);
            }
            Step::Flush => {}
        }
    }

    /// Makes all bytes of `range` `value`.
    fn fill(&mut self, range: Range<u64>, value: u8) {
        let needed = if value == 0 { 0 } else { range.end.div_ceil(SECTOR_LEN as u64) };
        let len = self.sectors.len().max(usize::try_from(needed).unwrap_or(0));
        self.sectors.resize(len, vec![[0; SECTOR_LEN]]);
        for (index, known) in self.sectors.iter_mut().enumerate() {
            let start = (index * SECTOR_LEN) as u64;
            let within = |at: u64| usize::try_from(at.saturating_sub(start)).unwrap_or(SECTOR_LEN).min(SECTOR_LEN);
            let part = within(range.start)..within(range.end);
            if part.is_empty() {
                continue;
            }
            known.iter_mut().for_each(|sector| sector[part.clone()].fill(value));
            if part == (0..SECTOR_LEN) {
                known.truncate(1);
            }
        }
    }
}

/// Bytes of a sector.
const SECTOR_LEN: usize = 512;
/// Operations of which each fails in every way.
const MANY: usize = 24;
