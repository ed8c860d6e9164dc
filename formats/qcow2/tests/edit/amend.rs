//! Refcounts of another width, and what has to stay as it was.

use std::path::Path;

use imgfmt_core::conformance::{Edited, Files, Noise, Recording, Step, apply};
use imgfmt_core::{AmendRequest, BitmapChange, ErrorKind, Format, Limits, OpenContext, Options, Result, Secrets};
use imgfmt_qcow2::Qcow2;

use crate::bitmaps::{change, dirty};
use crate::images::{KINDS, Kind, disk, edited, files};
use crate::oracle::{has_qemu_img, put, qemu_img};
use crate::snapshots::{assert_clean, read_snapshot, snapshots};

/// Guest bytes.
const SIZE: usize = 60 * 512;

/// Each width follows a smaller and a larger one.
const WIDTHS: [u32; 10] = [8, 64, 1, 32, 2, 4, 16, 1, 64, 16];

/// Changes options of the image in `files`.
pub(crate) fn amend(files: &Files, options: &str) -> Result<()> {
    let (limits, path) = (Limits::default(), Path::new("top"));
    let context = OpenContext { path: Some(path), ..OpenContext::new(&limits, files) };
    let options = Options::parse(options).unwrap();
    Qcow2.abilities().amend.unwrap().amend(files.medium(path)?, &AmendRequest::new(&options), &context)
}

/// The image of `files` by itself.
pub(crate) fn top(recording: &Recording) -> Vec<u8> {
    recording.now().into_iter().find(|(name, _)| name == "top").unwrap().1
}

/// Bits of a refcount, as the header of version 3 says it.
fn width(recording: &Recording) -> u32 {
    1 << top(recording)[99]
}

/// Makes refcounts `bits` wide, where the largest fits; where it does not, nothing is changed. Returns whether it did.
fn widen(edited: &Edited<'_>, recording: &Recording, bits: u32, what: &str) -> bool {
    let (files, before, had) = (recording.files(), top(recording), width(recording));
    let done = amend(&files, &format!("compat=1.1,refcount_bits={bits}"));
    if let Err(error) = &done {
        assert!(bits < 8 && error.kind() == ErrorKind::Invalid, "{what}: {error}");
        assert!(error.to_string().contains("has a refcount of"), "{what}: {error}");
        assert!(top(recording) == before, "{what}");
    } else {
        assert!(width(recording) == bits, "{what}, from {had}");
    }
    assert_clean(edited, &files, what);
    done.is_ok()
}

#[test]
fn any_width_follows_any_other() {
    for kind in KINDS {
        let (source, secrets) = (files(kind, SIZE), Secrets::new());
        let edited = edited(&source, &secrets);
        let recording = Recording::new(&source);
        let files = recording.files();
        let mut model = disk(SIZE);
        amend(&files, "compat=1.1").unwrap();
        for (at, bits) in (1u8..).zip(WIDTHS) {
            let what = format!("{kind:?} {bits}");
            let done = widen(&edited, &recording, bits, &what);
            assert!(done || kind.compress, "{what}");
            assert!(edited.read(&files).unwrap() == model, "{what}");
            // What is free now is found, and written to.
            let len = if kind.backed { SIZE } else { 4096 };
            let step = Step::Write(0, len as u64, at);
            edited.edit(&files, &mut |editor| apply(editor, &step).map(|()| true)).unwrap();
            imgfmt_core::conformance::apply_to_model(&mut model, &[], &step);
            assert_clean(&edited, &files, &what);
            assert!(edited.read(&files).unwrap() == model, "{what}, written to");
        }
    }
}

#[test]
fn snapshots_share_clusters_and_need_two_bits() {
    for kind in KINDS.iter().filter(|kind| !kind.options.contains("0.10") && !kind.options.ends_with("bits=1")) {
        let (source, secrets) = (files(kind, SIZE), Secrets::new());
        let edited = edited(&source, &secrets);
        let recording = Recording::new(&source);
        let files = recording.files();
        snapshots(&files, "create", "one").unwrap();
        for bits in [64, 8, 32] {
            assert!(widen(&edited, &recording, bits, &format!("{kind:?} {bits}")), "{kind:?} {bits}");
        }
        let shared = !kind.backed;
        assert!(!(shared && widen(&edited, &recording, 1, &format!("{kind:?} 1"))), "{kind:?}");
        assert!(edited.read(&files).unwrap() == disk(SIZE) && read_snapshot(&files, "one") == disk(SIZE), "{kind:?}");
        snapshots(&files, "delete", "one").unwrap();
        assert_clean(&edited, &files, &format!("{kind:?} deleted"));
    }
}

#[test]
fn bitmaps_stay_what_they_were() {
    let (source, secrets) = (files(&KINDS[0], SIZE), Secrets::new());
    let edited = edited(&source, &secrets);
    let recording = Recording::new(&source);
    let files = recording.files();
    change(&files, "b", &[BitmapChange::Add { granularity: Some(512) }]).unwrap();
    edited.edit(&files, &mut |editor| apply(editor, &Step::Write(1024, 512, 1)).map(|()| true)).unwrap();
    let before = dirty(&files, "b");
    assert_eq!(format!("{before:?}"), "([1024..1536], true, true)");
    for bits in WIDTHS {
        assert!(widen(&edited, &recording, bits, &format!("{bits}")));
        assert_eq!(dirty(&files, "b"), before, "{bits}");
    }
    for (options, done) in [("lazy_refcounts=on", true), ("size=1M", true), ("compat=0.10", false)] {
        assert_eq!(amend(&files, options).is_ok(), done, "{options}");
        assert_eq!(dirty(&files, "b"), before, "{options}");
    }
}

#[test]
fn version_2_has_16_bits() {
    let kind = Kind { options: "compat=0.10", compress: false, backed: false };
    let (source, secrets) = (files(&kind, SIZE), Secrets::new());
    let edited = edited(&source, &secrets);
    let recording = Recording::new(&source);
    let files = recording.files();
    let told = amend(&files, "refcount_bits=8").unwrap_err().to_string();
    assert!(told.contains("needs compat=1.1"), "{told}");
    assert!(top(&recording) == source[0].1);
    for wrong in ["0", "3", "128", "-1", "x"] {
        let options = format!("compat=1.1,refcount_bits={wrong}");
        assert_eq!(amend(&files, &options).unwrap_err().kind(), ErrorKind::Invalid, "{wrong}");
    }
    amend(&files, "compat=1.1,refcount_bits=8").unwrap();
    assert_eq!(amend(&files, "compat=0.10").unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(width(&recording), 8);
    amend(&files, "compat=0.10,refcount_bits=16").unwrap();
    assert_eq!(top(&recording)[7], 2);
    assert_clean(&edited, &files, "in the end");
    assert!(edited.read(&files).unwrap() == disk(SIZE));
}

#[test]
fn an_image_that_has_to_be_repaired_is_left_alone() {
    // The dirty bit and the corrupt bit; the refcount of the refcount table, and its first block named twice.
    for wrong in ["dirty", "corrupt", "uncounted", "twice"] {
        let mut source = files(&KINDS[0], SIZE);
        let bytes = &mut source[0].1;
        let table = usize::try_from(u64::from_be_bytes(bytes[48..56].try_into().unwrap())).unwrap();
        let block = u64::from_be_bytes(bytes[table..table + 8].try_into().unwrap());
        match wrong {
            "dirty" => bytes[79] |= 1,
            "corrupt" => bytes[79] |= 2,
            "uncounted" => bytes[usize::try_from(block).unwrap() + table / 512 * 2 + 1] = 0,
            _ => bytes[table + 16..table + 24].copy_from_slice(&block.to_be_bytes()),
        }
        let recording = Recording::new(&source);
        let told = amend(&recording.files(), "refcount_bits=64").unwrap_err();
        assert_eq!(told.kind(), ErrorKind::Malformed, "{wrong}");
        assert!(told.to_string().contains("repaired"), "{wrong}: {told}");
        assert!(top(&recording) == source[0].1, "{wrong}");
    }
}

/// Cuts what was recorded anywhere: the disk is what it was, and nothing is left to mend, not even a leak.
fn check_sound_when_cut(before: &[(String, Vec<u8>)], recording: &Recording, what: &str) {
    let (secrets, mut random) = (Secrets::new(), Noise(7));
    let edited = edited(before, &secrets);
    for cut in 0..=recording.len() {
        for way in 0..5 {
            let mut keep = || if way < 2 { way == 1 } else { random.below(2) == 1 };
            let left = Recording::new(&recording.cut(cut, &mut keep));
            let what = format!("{what}, cut after {cut} of {}, way {way}", recording.len());
            assert!(edited.read(&left.files()).unwrap() == disk(SIZE), "{what}");
            assert_clean(&edited, &left.files(), &what);
        }
    }
}

#[test]
fn other_widths_may_be_cut_anywhere() {
    for kind in KINDS.iter().filter(|kind| !kind.options.contains("64k")) {
        for bits in [1, 4, 64] {
            let before = files(kind, SIZE);
            let recording = Recording::new(&before);
            if amend(&recording.files(), &format!("compat=1.1,refcount_bits={bits}")).is_err() {
                assert!(kind.compress && bits < 8, "{kind:?} {bits}");
                continue;
            }
            check_sound_when_cut(&before, &recording, &format!("{kind:?} {bits}"));
        }
    }
}

#[test]
fn qemu_img_sees_other_widths() {
    if !has_qemu_img() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let many = Kind { options: "cluster_size=512", compress: false, backed: false };
    // Enough clusters for a table of two clusters where refcounts have 64 bits.
    for (kind, size) in KINDS.iter().map(|kind| (kind, SIZE)).chain([(&many, 4 << 20)]) {
        let (source, secrets) = (files(kind, size), Secrets::new());
        let edited = edited(&source, &secrets);
        let recording = Recording::new(&source);
        std::fs::write(folder.path().join("model"), disk(size)).unwrap();
        amend(&recording.files(), "compat=1.1").unwrap();
        for bits in WIDTHS {
            let what = format!("{kind:?} {bits}");
            if !widen(&edited, &recording, bits, &what) {
                continue;
            }
            put(folder.path(), &recording.now(), &what);
            let info = qemu_img(folder.path(), "info -f qcow2 top").unwrap();
            assert!(info.contains(&format!("refcount bits: {bits}\n")), "{what}: {info}");
            let compared = qemu_img(folder.path(), "compare -f qcow2 -F raw top model");
            assert!(compared.is_ok(), "{what}: {compared:?}");
        }
        qemu_img(folder.path(), "amend -f qcow2 -o refcount_bits=32 top").unwrap();
        put(folder.path(), &[], "amended by qemu-img");
    }
}
