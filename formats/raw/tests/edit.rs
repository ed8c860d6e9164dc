//! Raw images are edited as byte vectors are, and what a cut leaves of them is old or new.

use std::path::Path;
use std::sync::Arc;

use imgfmt_core::conformance::{
    Edited, Files, Noise, Recording, Step, check_cuts, check_edits, check_faults, random_steps,
};
use imgfmt_core::{
    DenyAll, Erase, ErrorKind, FileMedium, Format, Limits, Locking, OpenContext, Options, Preallocation, Secrets,
    Severity,
};
use imgfmt_raw::Raw;
use proptest::prelude::{any, proptest};

/// The secrets of these images.
static NO_SECRETS: Secrets = Secrets::new();

/// A file of `len` bytes of noise.
fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; len];
    Noise(seed | 1).fill(&mut bytes);
    bytes
}

/// The image called `name` in `files`.
fn edited<'a>(files: &'a [(String, Vec<u8>)], name: &'a str, options: &'a Options) -> Edited<'a> {
    Edited { format: &Raw, files, name, options, secrets: &NO_SECRETS, size_unit: 1, shrinks: true }
}

proptest! {
    #![proptest_config(imgfmt_core::property_config!(32))]

    #[test]
    fn a_file_is_edited_as_a_byte_vector_is(len in 0..6000_usize, seed in any::<u64>()) {
        let (files, options) = ([("disk".to_owned(), noise(len, seed))], Options::new());
        let edited = edited(&files, "disk", &options);
        let steps = random_steps(&edited, seed, 12, len as u64, 1);
        check_edits(&edited, &steps);
    }

    #[test]
    fn a_window_and_parts_are_edited_without_a_byte_beside(lens in proptest::array::uniform3(0..3000_usize), seed in any::<u64>()) {
        let names = ["disk.001", "disk.002", "disk.003"];
        let files: Vec<_> = names.iter().zip(lens).map(|(name, len)| ((*name).to_owned(), noise(len, seed))).collect();
        let all: u64 = lens.iter().map(|len| *len as u64).sum();
        let (offset, size) = (all / 3, all / 2);
        let options = Options::parse(&format!("offset={offset},size={size}")).unwrap();
        let window = edited(&files, "disk.001", &options);
        let mut steps = random_steps(&window, seed, 12, size, 1);
        steps.retain(|step| !matches!(step, Step::Resize(..)));
        // The size that the steps think of may have changed; places beyond the end are no edits of this disk.
        steps.retain(|step| match step {
            Step::Write(at, len, _) | Step::Erase(at, len, _) => at + len <= size,
            _ => true,
        });
        let recording = Recording::new(&files);
        let held = recording.files();
        let before: Vec<u8> = files.iter().flat_map(|(_, bytes)| bytes.clone()).collect();
        let (from, to) = (usize::try_from(offset).unwrap(), usize::try_from(offset + size).unwrap());
        let mut model = before[from..to].to_vec();
        window.edit(&held, &mut |editor| {
            for step in &steps {
                imgfmt_core::conformance::apply(editor, step)?;
                imgfmt_core::conformance::apply_to_model(&mut model, &[], step);
            }
            assert_eq!(editor.resize(1, Preallocation::Off).unwrap_err().kind(), ErrorKind::Unsupported);
            Ok(true)
        }).unwrap();
        let after: Vec<u8> = recording.now().into_iter().flat_map(|(_, bytes)| bytes).collect();
        assert_eq!(after.len(), before.len());
        assert!(after[..from] == before[..from] && after[to..] == before[to..], "bytes beside the window changed");
        assert!(after[from..to] == model, "the window differs");
    }

    #[test]
    fn a_medium_that_fails_leaves_old_or_new_sectors(sectors in 1..12_usize, seed in any::<u64>()) {
        let (files, options) = ([("disk".to_owned(), noise(sectors * 512, seed))], Options::new());
        let edited = Edited { size_unit: 512, ..edited(&files, "disk", &options) };
        let mut steps = random_steps(&edited, seed, 6, sectors as u64 * 512, 512);
        steps.extend([Step::Resize(40_960, Preallocation::Full), Step::Resize(81_920, Preallocation::Falloc)]);
        check_faults(&edited, &steps);
    }

    #[test]
    fn a_cut_leaves_old_or_new_sectors(sectors in 1..12_usize, seed in any::<u64>()) {
        let (files, options) = ([("disk".to_owned(), noise(sectors * 512, seed))], Options::new());
        let edited = Edited { size_unit: 512, ..edited(&files, "disk", &options) };
        let mut steps = random_steps(&edited, seed, 8, sectors as u64 * 512, 512);
        steps.push(Step::Resize(40_960, Preallocation::Full));
        check_cuts(&edited, &steps, seed);
    }
}

#[test]
fn space_is_taken_as_it_is_asked_for() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let medium = || Arc::new(FileMedium::open(file.path(), Locking::Write).unwrap());
    let limits = Limits::default();
    let context = OpenContext::new(&limits, &DenyAll);
    let edit = Raw.abilities().edit.unwrap();
    let editor = edit.edit(medium(), &context).unwrap();
    for (size, preallocation) in
        [(1 << 20, Preallocation::Falloc), (2 << 20, Preallocation::Full), (3 << 20, Preallocation::Off)]
    {
        editor.resize(size, preallocation).unwrap();
        assert_eq!((file.as_file().metadata().unwrap().len(), editor.image().unwrap().size()), (size, size));
    }
    assert_eq!(editor.resize(4 << 20, Preallocation::Metadata).unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(editor.resize(1 << 20, Preallocation::Full).unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(editor.write_at(&[1; 2], (3 << 20) - 1).unwrap_err().kind(), ErrorKind::OutOfBounds);
    assert_eq!(editor.erase(5..u64::MAX, Erase::Zero).unwrap_err().kind(), ErrorKind::OutOfBounds);
    editor.resize(5, Preallocation::Off).unwrap();
    editor.write_at(b"hello", 0).unwrap();
    editor.close().unwrap();
    assert_eq!(std::fs::read(file.path()).unwrap(), b"hello");
}

#[test]
fn parts_keep_their_size_and_need_the_gate() {
    let mut files = Files::default();
    for name in ["disk.001", "disk.002"] {
        files.add(name, vec![7; 512]);
    }
    let (limits, path) = (Limits::default(), Path::new("disk.001"));
    let edit = Raw.abilities().edit.unwrap();
    let context = OpenContext { path: Some(path), ..OpenContext::new(&limits, &files) };
    let editor = edit.edit(files.medium(path).unwrap(), &context).unwrap();
    editor.write_at(&[9; 4], 510).unwrap();
    assert_eq!(editor.resize(4, Preallocation::Off).unwrap_err().kind(), ErrorKind::Unsupported);
    editor.close().unwrap();
    let mut bytes = [0; 4];
    files.medium(Path::new("disk.002")).unwrap().read_at(&mut bytes, 0).unwrap();
    assert_eq!(bytes, [9, 9, 7, 7]);
    let refused = OpenContext { gate: &DenyAll, ..context };
    assert_eq!(edit.edit(files.medium(path).unwrap(), &refused).err().unwrap().kind(), ErrorKind::Refused);
}

#[test]
fn the_check_tells_of_a_length_that_no_disk_has() {
    let options = Options::new();
    for (len, warnings) in [(0, 0), (1024, 0), (1000, 1)] {
        let files = [("disk".to_owned(), vec![0; len])];
        let edited = edited(&files, "disk", &options);
        let (findings, stats) = edited.check(&Recording::new(&files).files(), None).unwrap();
        assert_eq!((findings.open(Severity::Warning), findings.total()), (warnings, warnings));
        assert_eq!(stats.image_end, Some(len as u64));
    }
    assert_eq!(Raw.abilities().check.unwrap().repairs(), None);
}
