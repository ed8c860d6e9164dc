//! A medium that fails once: what a call could not do is not done, and the image is whole.

use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use imgfmt_core::conformance::{Files, Step, apply, apply_to_model};
use imgfmt_core::{
    Erase, Error, FileSlice, Medium, MemoryMedium, Preallocation, Repair, Result, Segment, Severity, Storage, Target,
};

use crate::images::{MIB, alone, edited, small_layers};

/// A medium of which one operation fails.
#[derive(Debug)]
struct Faulty {
    /// The bytes.
    inner: MemoryMedium,
    /// How many operations there will have been before the one that fails.
    left: AtomicUsize,
}

impl Faulty {
    /// Fails, if it is time to.
    fn operate(&self) -> Result<()> {
        match self.left.fetch_sub(1, Ordering::Relaxed) {
            0 => Err(Error::io("the medium is full", std::io::ErrorKind::StorageFull.into())),
            _ => Ok(()),
        }
    }
}

impl Storage for Faulty {
    fn len(&self) -> u64 {
        Storage::len(&self.inner)
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<()> {
        self.inner.read_at(buf, offset)
    }

    fn segment(&self, offset: u64) -> Result<Segment> {
        self.inner.segment(offset)
    }

    fn as_file(&self) -> Option<FileSlice<'_>> {
        None
    }

    fn as_slice(&self) -> Option<&[u8]> {
        None
    }
}

impl Target for Faulty {
    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        self.operate()?;
        self.inner.write_at(bytes, offset)
    }

    fn set_len(&self, len: u64) -> Result<()> {
        self.operate()?;
        self.inner.set_len(len)
    }

    fn reserve(&self, _range: Range<u64>) -> Result<()> {
        self.operate()
    }

    fn clear(&self, range: Range<u64>) -> Result<()> {
        self.operate()?;
        self.inner.clear(range)
    }

    fn sync(&self) -> Result<()> {
        self.operate()
    }

    fn as_file(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn in_order(&self) -> bool {
        false
    }
}

/// Checks `steps` with each of their operations failing in turn.
fn check(files: &[(String, Vec<u8>)], steps: &[Step]) {
    let edited = edited(files, 512);
    for fails in 0.. {
        let faulty = Arc::new(Faulty { inner: MemoryMedium::new(&files[0].1), left: AtomicUsize::new(fails) });
        let mut gate = Files::default();
        files[1..].iter().for_each(|(name, bytes)| gate.add(name, bytes.clone()));
        gate.add_medium(&files[0].0, Arc::clone(&faulty) as Arc<dyn Medium>);
        let mut models = vec![edited.read(&gate).unwrap()];
        let outcome = edited.edit(&gate, &mut |editor| {
            for step in steps {
                let mut model = models.last().unwrap().clone();
                let done = apply(editor, step).is_ok();
                // What could not be done may be done in part, sector by sector.
                apply_to_model(&mut model, &[], step);
                if done || !matches!(step, Step::Resize(..)) {
                    models.push(model);
                }
            }
            Ok(true)
        });
        let read = edited.read(&gate).unwrap();
        let right = read.chunks(512).enumerate().all(|(index, sector)| {
            models.iter().any(|model| model.get(index * 512..index * 512 + sector.len()).is_none_or(|s| s == sector))
        });
        assert!(right, "operation {fails} failed: {steps:?}");
        let (findings, _) = edited.check(&gate, Some(Repair::All)).unwrap();
        assert_eq!(findings.open(Severity::Corruption) + findings.open(Severity::Leak), 0, "{:?}", findings.kept());
        assert!(edited.read(&gate).unwrap() == read);
        // Only a commit may leave a log, and what it would have given back.
        let mended = findings.fixed(Severity::Corruption) + findings.fixed(Severity::Leak);
        assert!(mended == 0 || outcome.is_err(), "operation {fails} failed: {:?}", findings.kept());
        if faulty.left.load(Ordering::Relaxed) < usize::MAX / 2 && outcome.is_ok() {
            assert!(fails > 8, "all of it was done with {fails} operations");
            return;
        }
    }
}

#[test]
fn a_call_that_fails_leaves_a_whole_image() {
    let files = alone("block_size=1M", 2 * MIB - 512, &[(0..MIB, 0x44)]);
    check(&files, &[Step::Write(MIB - 5, 1000, 1), Step::Flush, Step::Erase(0, MIB, Erase::Zero)]);
    check(&files, &[Step::Resize(3 * MIB, Preallocation::Full), Step::Write(3 * MIB / 2, 512, 3)]);
    check(&files, &[Step::Resize(MIB / 2, Preallocation::Off), Step::Write(512, 512, 3)]);
    check(&small_layers("block_size=1M"), &[Step::Write(MIB, 512, 1), Step::Write(0, 512, 2)]);
}
