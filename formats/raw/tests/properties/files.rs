//! Sparse files, and copies of them.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use imgfmt_core::conformance::Noise;
use imgfmt_core::convert::Convert;
use imgfmt_core::{
    CreateRequest, DenyAll, FileStorage, FileTarget, Format, Image, ImageExt, Limits, OpenContext, Options, Storage,
};
use imgfmt_raw::Raw;
use proptest::prelude::{Strategy, any, prop_oneof};
use proptest::test_runner::Config;
use tempfile::NamedTempFile;

/// A file with holes.
#[derive(Clone, Debug)]
pub(crate) struct Sparse {
    /// What it reads as.
    pub(crate) bytes: Vec<u8>,
    /// What is written, some of it zeros; nothing else is.
    pub(crate) runs: Vec<std::ops::Range<usize>>,
}

/// Files of up to 1.5 MB with up to 12 runs written at any place.
pub(crate) fn sparse() -> impl Strategy<Value = Sparse> {
    let sizes = prop_oneof![0..5000usize, 0..1_500_000usize, (0..300usize).prop_map(|blocks| blocks * 4096)];
    let runs = proptest::collection::vec((any::<usize>(), 0..150_000usize, any::<bool>(), any::<u64>()), 0..12);
    (sizes, runs).prop_map(|(size, runs)| {
        let mut sparse = Sparse { bytes: vec![0; size], runs: Vec::new() };
        for (start, len, zeros, seed) in runs {
            let start = start % (size + 1);
            let run = start..size.min(start + len);
            if zeros {
                sparse.bytes[run.clone()].fill(0);
            } else {
                Noise(seed | 1).fill(&mut sparse.bytes[run.clone()]);
            }
            sparse.runs.push(run);
        }
        sparse
    })
}

impl Sparse {
    /// The file.
    pub(crate) fn file(&self) -> NamedTempFile {
        let file = NamedTempFile::new().unwrap();
        file.as_file().set_len(self.bytes.len() as u64).unwrap();
        for run in &self.runs {
            file.as_file().write_all_at(&self.bytes[run.clone()], run.start as u64).unwrap();
        }
        file
    }
}

/// Opens a raw image.
pub(crate) fn open(file: &NamedTempFile) -> Box<dyn Image> {
    let storage: Arc<dyn Storage> = Arc::new(FileStorage::open(file.path()).unwrap());
    let limits = Limits::default();
    let context = OpenContext { path: Some(file.path()), ..OpenContext::new(&limits, &DenyAll) };
    Raw.open(storage, &context).unwrap().image
}

/// Writes `source` to a new file, or over one that holds `old`.
pub(crate) fn write(source: &dyn Image, options: &str, convert: &Convert<'_>, old: Option<&[u8]>) -> NamedTempFile {
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), old.unwrap_or_default()).unwrap();
    let options = Options::parse(options).unwrap();
    let request = CreateRequest { target_is_zero: old.is_none(), ..CreateRequest::new(source.size(), &options) };
    let target = Arc::new(FileTarget::new(for_writing(file.path())).unwrap());
    let progress = convert.run(source, Raw.create(target, &request).unwrap()).unwrap();
    assert_eq!((progress.done, progress.size), (source.size(), source.size()));
    file
}

/// Opens a file for reading and writing.
fn for_writing(path: &Path) -> File {
    OpenOptions::new().read(true).write(true).open(path).unwrap()
}

/// The configuration of a property that `cases` cases are enough for; `PROPTEST_CASES` asks for more.
pub(crate) fn config(cases: u32) -> Config {
    imgfmt_core::property_config!(cases)
}

/// Checks that runs of zeros which are long enough, and aligned to their length, take no space.
pub(crate) fn check_sparse(copy: &dyn Image, bytes: &[u8], grain: Option<u64>) {
    let Some(grain) = grain.filter(|_| has_holes()) else { return };
    let grain = usize::try_from(grain.max(HOLE_LEN).next_power_of_two()).unwrap();
    for (number, part) in bytes.chunks_exact(grain).enumerate() {
        if part.iter().all(|&byte| byte == 0) {
            let range = (number * grain) as u64..((number + 1) * grain) as u64;
            let mut extents = Vec::new();
            copy.extents(range.clone(), 1, &mut extents).unwrap();
            let hole = extents[0].is_zero() && extents[0].end() == range.end;
            assert!(hole, "zeros in {range:?} take space: {extents:?}");
        }
    }
}

/// Whether the file system of temporary files has holes.
fn has_holes() -> bool {
    let file = Sparse { bytes: vec![0; 1 << 20], runs: Vec::new() }.file();
    let mut extents = Vec::new();
    open(&file).extents(0..1 << 20, 1, &mut extents).unwrap();
    extents[0].is_zero()
}

/// Holes of file systems are multiples of this, in bytes.
const HOLE_LEN: u64 = 65_536;
