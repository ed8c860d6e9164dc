//! Contracts of editors and of repair.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use super::Plain;
use super::files::Files;
use super::recording::{Recording, path_of};
use crate::check::{CheckStats, Findings, Repair, Severity};
use crate::codec::Encoder;
use crate::convert::Cancel;
use crate::editor::{Erase, ImageEditor, Preallocation};
use crate::format::{Format, OpenContext};
use crate::image::Image;
use crate::limits::Limits;
use crate::open::Opener;
use crate::storage::Storage;
use crate::{Error, ErrorKind, Options, Result, Secrets};

/// An image to be edited in tests.
#[derive(Clone, Copy)]
pub struct Edited<'a> {
    /// The format, which has the ability to edit.
    pub format: &'a dyn Format,
    /// The files of the image, and those that it builds on.
    pub files: &'a [(String, Vec<u8>)],
    /// Which of them is the image.
    pub name: &'a str,
    /// Options for opening.
    pub options: &'a Options,
    /// The secrets that they name.
    pub secrets: &'a Secrets,
    /// The sizes that the disk may be given are multiples of this.
    pub size_unit: u64,
    /// Whether the disk may be made smaller, too.
    pub shrinks: bool,
}

/// What is done to a disk, one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Bytes of this value are written: from where, how many.
    Write(u64, u64, u8),
    /// A unit is written compressed: from where, its length, and the value of its bytes.
    Encoded(u64, u64, u8),
    /// A range is erased.
    Erase(u64, u64, Erase),
    /// The disk gets another size.
    Resize(u64, Preallocation),
    /// Everything is flushed.
    Flush,
}

impl Edited<'_> {
    /// The context for opening, with `files` as the gate.
    fn context<'c>(&'c self, files: &'c Files, limits: &'c Limits, path: &'c Path) -> OpenContext<'c> {
        OpenContext {
            path: Some(path),
            options: self.options,
            secrets: self.secrets,
            ..OpenContext::new(limits, files)
        }
    }

    /// The guest bytes of the image in `files`, with what it builds on.
    ///
    /// # Errors
    ///
    /// As [`Opener::open`].
    pub fn read(&self, files: &Files) -> Result<Vec<u8>> {
        let (formats, limits): ([&dyn Format; 2], _) = ([self.format, &Plain], Limits::default());
        let path = path_of(self.name);
        let opener = Opener { context: self.context(files, &limits, &path), ..Opener::new(&formats, files, &limits) };
        let image = opener.open(files.medium(&path)?, Some(&path), Some(self.format.name()))?;
        let mut bytes = vec![0; usize_of(image.size())];
        image.read_at(&mut bytes, 0)?;
        Ok(bytes)
    }

    /// Opens the image in `files` for editing and hands the editor to `act`, which gives it back to be closed, or does
    /// not, for it to be dropped.
    ///
    /// # Errors
    ///
    /// What opening, `act` and closing say.
    ///
    /// # Panics
    ///
    /// Where the format cannot edit.
    pub fn edit(&self, files: &Files, act: &mut dyn FnMut(&dyn ImageEditor) -> Result<bool>) -> Result<()> {
        let limits = Limits::default();
        let path = path_of(self.name);
        let edit = self.format.abilities().edit.expect("the format edits");
        let editor = edit.edit(files.medium(&path)?, &self.context(files, &limits, &path))?;
        if act(editor.as_ref())? { editor.close() } else { Ok(()) }
    }

    /// Checks the image in `files`, and mends it where `repair` says so.
    ///
    /// # Errors
    ///
    /// As [`Check`](crate::Check).
    ///
    /// # Panics
    ///
    /// Where the format cannot check.
    pub fn check(&self, files: &Files, repair: Option<Repair>) -> Result<(Findings, CheckStats)> {
        let limits = Limits::default();
        let path = path_of(self.name);
        let context = self.context(files, &limits, &path);
        let check = self.format.abilities().check.expect("the format checks");
        let mut findings = Findings::new();
        let medium = files.medium(&path)?;
        let stats = match repair {
            Some(repair) => check.repair(medium, repair, &context, &mut findings)?,
            None => check.check(medium as Arc<dyn Storage>, &context, &mut findings)?,
        };
        Ok((findings, stats))
    }
}

/// Does `step` with `editor`.
///
/// # Errors
///
/// What the editor says.
pub fn apply(editor: &dyn ImageEditor, step: &Step) -> Result<()> {
    match *step {
        Step::Write(offset, len, value) => editor.write_at(&vec![value; usize_of(len)], offset),
        Step::Encoded(offset, unit, value) => {
            let compression = editor.compression().ok_or_else(|| Error::unsupported("no unit can be compressed"))?;
            let mut stored = vec![0; compression.max_len];
            let len = Encoder::new(&compression)?.encode(&vec![value; usize_of(unit)], &mut stored)?;
            editor.write_encoded(&stored[..len.unwrap_or(0)], offset)
        }
        Step::Erase(offset, len, how) => editor.erase(offset..offset + len, how),
        Step::Resize(size, preallocation) => editor.resize(size, preallocation),
        Step::Flush => editor.flush(),
    }
}

/// Does `step` with the `model` of a disk; `below` is what shows where the layer stores nothing.
pub fn apply_to_model(model: &mut Vec<u8>, below: &[u8], step: &Step) {
    match *step {
        Step::Write(offset, len, value) => model[usize_of(offset)..usize_of(offset + len)].fill(value),
        Step::Encoded(offset, unit, value) => {
            let end = usize_of(offset + unit).min(model.len());
            model[usize_of(offset)..end].fill(value);
        }
        Step::Erase(offset, len, Erase::Absent) => {
            let range = usize_of(offset)..usize_of(offset + len);
            for (at, byte) in model.iter_mut().enumerate().take(range.end).skip(range.start) {
                *byte = below.get(at).copied().unwrap_or(0);
            }
        }
        Step::Erase(offset, len, _) => model[usize_of(offset)..usize_of(offset + len)].fill(0),
        Step::Resize(size, _) => model.resize(usize_of(size), 0),
        Step::Flush => {}
    }
}

/// Steps by chance, the same for the same seed, for a disk of `size` bytes at first: at any place where `unit` is 1, else
/// at whole units.
#[must_use]
pub fn random_steps(edited: &Edited<'_>, seed: u64, count: usize, size: u64, unit: u64) -> Vec<Step> {
    let mut random = Chance(seed);
    let mut size = size;
    let mut steps = Vec::with_capacity(count);
    for _ in 0..count {
        let (start, len) = random.range(size, unit);
        let step = match random.below(10) {
            _ if size == 0 => Step::Resize(edited.size_unit.max(1) * 8, Preallocation::Off),
            0..=4 => Step::Write(start, len, u8::try_from(random.below(255) + 1).unwrap_or(1)),
            5 | 6 => Step::Erase(start, len, Erase::Zero),
            7 => Step::Erase(start, len, Erase::ZeroKeepSpace),
            8 => Step::Flush,
            _ => {
                let by = (random.below(8) * edited.size_unit).min(size);
                let to = if edited.shrinks && random.below(2) == 0 { size - by } else { size + by };
                Step::Resize(to, Preallocation::Off)
            }
        };
        if let Step::Resize(to, _) = step {
            size = to;
        }
        steps.push(step);
    }
    steps
}

/// Does `steps`, and checks that the disk reads as a byte vector would after each, and that the image is whole in the end.
/// Returns the files as they are then.
///
/// # Panics
///
/// Where a contract is broken.
pub fn check_edits(edited: &Edited<'_>, steps: &[Step]) -> Vec<(String, Vec<u8>)> {
    let recording = Recording::new(edited.files);
    let files = recording.files();
    let mut model = edited.read(&files).expect("the image reads before it is edited");
    edited
        .edit(&files, &mut |editor| {
            for step in steps {
                apply(editor, step).map_err(|e| e.context(format!("{step:?} of {steps:?}")))?;
                apply_to_model(&mut model, &[], step);
                let image = editor.image()?;
                assert_eq!(image.size(), model.len() as u64, "the size after {step:?} of {steps:?}");
                compare_layer(image.as_ref(), &model, step, steps);
            }
            Ok(true)
        })
        .unwrap_or_else(|e| panic!("{}", super::whole_message(&e)));
    let read = edited.read(&files).unwrap_or_else(|e| panic!("{}: {steps:?}", super::whole_message(&e)));
    assert!(read == model, "the disk differs after {steps:?}");
    assert_clean(edited, &files, &format!("{steps:?}"));
    recording.now()
}

/// Does `steps`, and pulls the plug at each write: the image opens, each sector has its old or its new content, what the
/// check finds then can be mended, and repair that is cut itself can be begun again.
///
/// # Panics
///
/// Where a contract is broken.
pub fn check_cuts(edited: &Edited<'_>, steps: &[Step], seed: u64) {
    each_cut(edited, &Recording::new(edited.files), steps, seed, &mut |left, states, random, what| {
        check_left(edited, left, states, random, what);
    });
}

/// The same where the files lie on devices that go on for `room` bytes behind them, with something in them: at each cut the image
/// opens, and each sector is old or new.
///
/// # Panics
///
/// Where a contract is broken.
pub fn check_cuts_on_devices(edited: &Edited<'_>, room: usize, steps: &[Step], seed: u64) {
    let longer = |(name, bytes): &(String, Vec<u8>)| (name.clone(), [bytes, &vec![GARBAGE; room][..]].concat());
    let devices: Vec<_> = edited.files.iter().map(longer).collect();
    each_cut(edited, &Recording::on_devices(&devices), steps, seed, &mut |left, states, _, what| {
        assert_old_or_new(edited, &Recording::on_devices(left).files(), states, what);
    });
}

/// Looks at the files that a cut has left, with the states that may be seen, and with what the cut was.
type Looks<'a> = dyn FnMut(&[(String, Vec<u8>)], &[Vec<u8>], &mut Chance, &str) + 'a;

/// Does `steps`, pulls the plug after each operation, and has `look` look at what is left, with the states that may be seen.
fn each_cut(edited: &Edited<'_>, recording: &Recording, steps: &[Step], seed: u64, look: &mut Looks<'_>) {
    let files = recording.files();
    let mut states = vec![edited.read(&files).expect("the image reads before it is edited")];
    // For each step, how many operations had been done when it began, and the states that may be seen until it ends.
    let mut spans: Vec<(usize, std::ops::RangeInclusive<usize>)> = Vec::new();
    let mut flushed = 0;
    edited
        .edit(&files, &mut |editor| {
            for step in steps {
                let begin = recording.len();
                apply(editor, step)?;
                let mut state = states.last().expect("there is a first state").clone();
                apply_to_model(&mut state, &[], step);
                states.push(state);
                spans.push((begin, flushed..=states.len() - 1));
                if *step == Step::Flush {
                    flushed = states.len() - 1;
                }
            }
            spans.push((recording.len(), flushed..=states.len() - 1));
            Ok(true)
        })
        .unwrap_or_else(|e| panic!("{}", super::whole_message(&e)));
    let mut random = Chance(seed);
    for cut in 0..=recording.len() {
        // The last span that had begun before the operation after the cut was done.
        let span = spans.iter().rev().find(|(begin, _)| *begin <= cut).map_or(0..=0, |(_, span)| span.clone());
        for way in 0..WAYS {
            let mut keep = || if way < 2 { way == 1 } else { random.below(2) == 0 };
            let left = recording.cut(cut, &mut keep);
            let what = format!("cut after {cut} of {} operations, way {way}, of {steps:?}", recording.len());
            look(&left, &states[span.clone()], &mut Chance(random.next()), &what);
        }
    }
}

/// Checks what a cut has left.
fn check_left(edited: &Edited<'_>, left: &[(String, Vec<u8>)], states: &[Vec<u8>], random: &mut Chance, what: &str) {
    let recording = Recording::new(left);
    let files = recording.files();
    assert_old_or_new(edited, &files, states, what);
    let repair = edited.format.abilities().check.and_then(|check| check.repairs());
    let Some(repair) = repair else {
        return assert_clean(edited, &files, what);
    };
    edited.check(&files, Some(repair)).unwrap_or_else(|e| panic!("repair: {}: {what}", super::whole_message(&e)));
    let again = format!("repaired after {what}");
    assert_old_or_new(edited, &files, states, &again);
    assert_clean(edited, &files, &again);
    // Repair itself may be cut, and be begun again.
    if !recording.is_empty() {
        let cut = usize::try_from(random.below(recording.len() as u64 + 1)).unwrap_or(0);
        let left = recording.cut(cut, &mut || random.below(2) == 0);
        let second = Recording::new(&left).files();
        let what = format!("repair cut after {cut}, {what}");
        edited.check(&second, Some(repair)).unwrap_or_else(|e| panic!("{}: {what}", super::whole_message(&e)));
        assert_old_or_new(edited, &second, states, &what);
        assert_clean(edited, &second, &what);
    }
}

/// Repairs the image, and pulls the plug at each write of the repair: a second repair succeeds, and leaves an image that
/// reads as the first one did. So it does where writes of the first one fail.
///
/// # Panics
///
/// Where a contract is broken.
pub fn check_repair(edited: &Edited<'_>, repair: Repair, seed: u64) -> Findings {
    let recording = Recording::new(edited.files);
    let files = recording.files();
    let (findings, _) = edited.check(&files, Some(repair)).unwrap_or_else(|e| panic!("{}", super::whole_message(&e)));
    let content = edited.read(&files).ok();
    let mut random = Chance(seed);
    for cut in 0..=recording.len() {
        for way in 0..WAYS {
            let mut keep = || if way < 2 { way == 1 } else { random.below(2) == 0 };
            let left = Recording::new(&recording.cut(cut, &mut keep));
            let files = left.files();
            let what = format!("repair cut after {cut}, way {way}");
            edited.check(&files, Some(repair)).unwrap_or_else(|e| panic!("{}: {what}", super::whole_message(&e)));
            assert!(edited.read(&files).ok() == content, "{what}: another disk");
        }
    }
    super::faults::check_repair_faults(edited, repair);
    findings
}

/// Checks that each sector of the disk is that of one of `states`.
fn assert_old_or_new(edited: &Edited<'_>, files: &Files, states: &[Vec<u8>], what: &str) {
    let read = edited.read(files).unwrap_or_else(|e| panic!("{}: {what}", super::whole_message(&e)));
    assert!(states.iter().any(|state| state.len() == read.len()), "the disk has {} bytes: {what}", read.len());
    for (index, sector) in read.chunks(SECTOR_LEN).enumerate() {
        let start = index * SECTOR_LEN;
        // A disk that grows or shrinks ends in some states before this sector.
        let right = states.iter().any(|state| match state.get(start..(start + sector.len()).min(state.len())) {
            Some(known) => sector.starts_with(known) && sector[known.len()..].iter().all(|byte| *byte == 0),
            None => sector.iter().all(|byte| *byte == 0),
        });
        assert!(right, "sector {index} is neither old nor new: {what}");
    }
}

/// Checks that the image has no damage.
fn assert_clean(edited: &Edited<'_>, files: &Files, what: &str) {
    if edited.format.abilities().check.is_none() {
        return;
    }
    let (findings, _) =
        edited.check(files, None).unwrap_or_else(|e| panic!("check: {}: {what}", super::whole_message(&e)));
    let bad = [Severity::Leak, Severity::Unchecked, Severity::Corruption];
    assert!(bad.iter().all(|severity| findings.open(*severity) == 0), "{:?}: {what}", findings.kept());
}

/// Checks that a layer shows the model wherever it does not leave it to a parent.
fn compare_layer(image: &dyn Image, model: &[u8], step: &Step, steps: &[Step]) {
    for (index, expected) in model.chunks(LAYER_READ_LEN).enumerate() {
        let mut buf = vec![0; expected.len()];
        match image.read_at(&mut buf, (index * LAYER_READ_LEN) as u64) {
            Ok(()) => assert!(buf == expected, "part {index} differs after {step:?} of {steps:?}"),
            Err(error) if error.kind() == ErrorKind::Missing => {}
            Err(error) => panic!("{}: after {step:?} of {steps:?}", super::whole_message(&error)),
        }
    }
}

/// Checks an image with the deep check, too.
///
/// # Errors
///
/// As [`Opener::open_layer`].
pub fn check_deeply(format: &dyn Format, files: &Files, name: &str) -> Result<Findings> {
    let (formats, limits) = ([format], Limits::default());
    let opener = Opener::new(&formats, files, &limits);
    let path = path_of(name);
    let (opened, _) = opener.open_layer(files.medium(&path)?, Some(&path), Some(format.name()))?;
    let mut findings = Findings::new();
    crate::check::deep(opened.image.as_ref(), NonZeroUsize::MIN, &Cancel::default(), None, &mut findings)?;
    Ok(findings)
}

/// Numbers by chance, the same for the same seed: xorshift64*.
struct Chance(u64);

impl Chance {
    /// The next number.
    fn next(&mut self) -> u64 {
        self.0 |= u64::from(self.0 == 0);
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `end`, or 0.
    fn below(&mut self, end: u64) -> u64 {
        (self.next() >> 16).checked_rem(end).unwrap_or(0)
    }

    /// A place and a length within `size`, at whole units but for the end.
    fn range(&mut self, size: u64, unit: u64) -> (u64, u64) {
        let start = self.below(size) / unit * unit;
        let longest = [1, 16, 700][usize_of(self.below(3))] * unit.max(97);
        let end = (start + self.below(longest) + 1).next_multiple_of(unit).min(size);
        (start, end - start)
    }
}

/// A length in memory.
fn usize_of(len: u64) -> usize {
    usize::try_from(len).unwrap_or(usize::MAX)
}

/// Ways in which each cut is made: nothing that was not flushed, all of it, and by chance.
const WAYS: usize = 4;
/// What is on a device before anything is written there.
const GARBAGE: u8 = 0xa5;
/// Bytes of a sector.
const SECTOR_LEN: usize = 512;
/// Bytes that are compared at once.
const LAYER_READ_LEN: usize = 512;
