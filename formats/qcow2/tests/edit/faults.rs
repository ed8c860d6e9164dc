//! A medium that fails, as a full one does, loses nothing of what was there.

use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use imgfmt_core::conformance::{Recording, Step, apply, apply_to_model};
use imgfmt_core::{
    Erase, Error, ErrorKind, FileSlice, Format, Limits, Medium, OpenContext, Repair, Result, Secrets, Segment,
    Severity, Storage, Target,
};
use imgfmt_qcow2::Qcow2;

use crate::images::{KINDS, disk, edited, files};
use crate::snapshots::snapshots;

/// Guest bytes.
const SIZE: usize = 32 << 10;

/// A medium of whose writes some fail.
#[derive(Debug)]
struct Failing {
    /// The medium.
    medium: Arc<dyn Medium>,
    /// Writes that were tried.
    tried: AtomicUsize,
    /// Those that fail.
    fail: Range<usize>,
}

impl Storage for Failing {
    fn len(&self) -> u64 {
        self.medium.len()
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        self.medium.read_at(buf, offset)
    }

    fn segment(&self, offset: u64) -> Result<Segment> {
        self.medium.segment(offset)
    }

    fn as_file(&self) -> Option<FileSlice<'_>> {
        None
    }

    fn as_slice(&self) -> Option<&[u8]> {
        None
    }
}

impl Target for Failing {
    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        if self.fail.contains(&self.tried.fetch_add(1, Ordering::Relaxed)) {
            return Err(Error::new(ErrorKind::Io, "no space is left"));
        }
        self.medium.write_at(bytes, offset)
    }

    fn set_len(&self, len: u64) -> Result<()> {
        self.medium.set_len(len)
    }

    fn reserve(&self, range: Range<u64>) -> Result<()> {
        self.medium.reserve(range)
    }

    fn clear(&self, range: Range<u64>) -> Result<()> {
        self.medium.clear(range)
    }

    fn sync(&self) -> Result<()> {
        self.medium.sync()
    }

    fn as_file(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn in_order(&self) -> bool {
        false
    }
}

/// Does `steps` with an image that was just closed or not, some of whose writes fail. Returns how many were tried.
fn edit_with_faults(recording: &Recording, steps: &[Step], fail: Range<usize>) -> usize {
    let (files, limits, path) = (recording.files(), Limits::default(), Path::new("top"));
    let failing = Arc::new(Failing { medium: files.medium(path).unwrap(), tried: AtomicUsize::new(0), fail });
    let context = OpenContext { path: Some(path), ..OpenContext::new(&limits, &files) };
    let medium = Arc::clone(&failing) as Arc<dyn Medium>;
    let editor = Qcow2.abilities().edit.unwrap().edit(medium, &context).unwrap();
    for step in steps {
        drop(apply(editor.as_ref(), step));
    }
    drop(editor.close());
    failing.tried.load(Ordering::Relaxed)
}

#[test]
fn what_cannot_be_written_loses_nothing() {
    for kind in KINDS.iter().filter(|kind| !kind.backed) {
        let (source, secrets) = (files(kind, SIZE), Secrets::new());
        let edited = edited(&source, &secrets);
        let start = Recording::new(&source);
        if !kind.options.ends_with("bits=1") {
            snapshots(&start.files(), "create", "one").unwrap();
        }
        let before = start.now();
        let end = SIZE as u64;
        let steps = [Step::Write(100, end / 2, 200), Step::Erase(0, end / 4, Erase::Zero), Step::Write(0, 512, 201)];
        let mut states = vec![disk(SIZE)];
        for step in &steps {
            let mut state = states.last().unwrap().clone();
            apply_to_model(&mut state, &[], step);
            states.push(state);
        }
        let tried = edit_with_faults(&Recording::new(&before), &steps, 0..0);
        for first in 0..tried {
            for fail in [first..first + 1, first..usize::MAX] {
                let what = format!("{kind:?}, {fail:?} of {tried}");
                let recording = Recording::new(&before);
                edit_with_faults(&recording, &steps, fail);
                let files = recording.files();
                let read = edited.read(&files).unwrap_or_else(|e| panic!("{e}: {what}"));
                for (index, sector) in read.chunks(512).enumerate() {
                    // Each step may have failed alone, so sectors are those of any of them.
                    let known = states.iter().any(|state| state[index * 512..][..sector.len()] == *sector)
                        || sector.iter().all(|byte| [0, 201].contains(byte))
                        || index == 0;
                    assert!(known, "sector {index}: {what}");
                }
                let (findings, _) = edited.check(&files, None).unwrap();
                assert_eq!(findings.open(Severity::Corruption), 0, "{what}: {:?}", findings.kept());
                edited.check(&files, Some(Repair::All)).unwrap();
                assert!(edited.read(&files).unwrap() == read, "repaired: {what}");
            }
        }
    }
}
