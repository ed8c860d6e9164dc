//! Images with internal snapshots go from one version to the other.

use imgfmt_core::conformance::{Edited, Files, Noise, Recording, Step, apply, apply_to_model};
use imgfmt_core::{Erase, ErrorKind, Preallocation, Repair, Secrets};

use crate::amend::{amend, top};
use crate::images::{Kind, disk, edited, files};
use crate::oracle::{has_qemu_img, put, qemu_img};
use crate::snapshots::{assert_clean, read_snapshot, snapshots};

/// Guest bytes.
const SIZE: usize = 60 * 512;

/// The kinds of images: without what version 2 does not have.
const KINDS: &[Kind] = &[
    Kind { options: "cluster_size=512", compress: false, backed: false },
    Kind { options: "cluster_size=1k", compress: true, backed: false },
    Kind { options: "cluster_size=512", compress: true, backed: true },
    Kind { options: "cluster_size=64k", compress: false, backed: true },
];

/// An image with zero clusters, with and without a place, in its active state and in two snapshots, which share tables; and what
/// the disk is in `first`, in `second`, and now.
fn with_snapshots(kind: &Kind) -> (Recording, [Vec<u8>; 3]) {
    let (source, secrets) = (files(kind, SIZE), Secrets::new());
    let edited = edited(&source, &secrets);
    let recording = Recording::new(&source);
    let files = recording.files();
    let mut model = disk(SIZE);
    let end = SIZE as u64;
    let (step, whole) = if kind.options.contains("64k") { (end, end) } else { (4096, 8192) };
    let mut edit = |steps: &[Step]| {
        edited
            .edit(&files, &mut |editor| steps.iter().try_for_each(|step| apply(editor, step)).map(|()| true))
            .unwrap();
        steps.iter().for_each(|step| apply_to_model(&mut model, &[], step));
        model.clone()
    };
    let first = edit(&[Step::Write(0, whole, 7), Step::Erase(0, step, Erase::ZeroKeepSpace)]);
    snapshots(&files, "create", "first").unwrap();
    snapshots(&files, "create", "same").unwrap();
    let second =
        edit(&[Step::Erase(end - step, step, Erase::Zero), Step::Erase(end - step, step, Erase::ZeroKeepSpace)]);
    snapshots(&files, "create", "second").unwrap();
    let now = edit(&[Step::Write(0, step, 9), Step::Erase(0, step, Erase::Zero)]);
    (Recording::new(&recording.now()), [first, second, now])
}

/// All states are what they were.
fn assert_states(edited: &Edited<'_>, files: &Files, states: &[Vec<u8>; 3], what: &str) {
    assert!(edited.read(files).unwrap_or_else(|e| panic!("{e}: {what}")) == states[2], "{what}");
    for (name, state) in [("first", &states[0]), ("same", &states[0]), ("second", &states[1])] {
        assert!(read_snapshot(files, name) == *state, "{name}, {what}");
    }
}

#[test]
fn all_states_read_as_before_in_either_version() {
    for kind in KINDS {
        let secrets = Secrets::new();
        let (recording, states) = with_snapshots(kind);
        let (source, files) = (recording.now(), recording.files());
        let edited = edited(&source, &secrets);
        for (compat, version) in [("0.10", 2), ("1.1", 3), ("0.10", 2), ("1.1", 3)] {
            amend(&files, &format!("compat={compat}")).unwrap();
            let what = format!("{kind:?} {compat}");
            assert_eq!(top(&recording)[7], version, "{what}");
            assert_clean(&edited, &files, &what);
            assert_states(&edited, &files, &states, &what);
        }
        for (name, state) in [("first", &states[0]), ("second", &states[1])] {
            snapshots(&files, "apply", name).unwrap();
            snapshots(&files, "delete", name).unwrap();
            assert_clean(&edited, &files, &format!("{kind:?} {name}"));
            assert!(edited.read(&files).unwrap() == *state, "{kind:?} {name}");
        }
    }
}

#[test]
fn versions_may_be_cut_anywhere() {
    for kind in KINDS.iter().filter(|kind| !kind.options.contains("64k")) {
        let secrets = Secrets::new();
        let (start, states) = with_snapshots(kind);
        for compat in ["0.10", "1.1"] {
            let before = start.now();
            let edited = edited(&before, &secrets);
            let recording = Recording::new(&before);
            if compat == "1.1" {
                // Entries without any extra data, as old programs write them.
                amend(&recording.files(), "compat=0.10").unwrap();
            }
            let recording = Recording::new(&without_extra_data(&recording.now(), compat == "1.1"));
            amend(&recording.files(), &format!("compat={compat}")).unwrap();
            let mut random = Noise(5);
            for cut in 0..=recording.len() {
                for way in 0..3 {
                    let mut keep = || if way < 2 { way == 1 } else { random.below(2) == 1 };
                    let left = Recording::new(&recording.cut(cut, &mut keep));
                    let what = format!("{kind:?} {compat}, cut after {cut} of {}, way {way}", recording.len());
                    assert_states(&edited, &left.files(), &states, &what);
                    edited.check(&left.files(), Some(Repair::All)).unwrap_or_else(|e| panic!("{e}: {what}"));
                    assert_clean(&edited, &left.files(), &what);
                    assert_states(&edited, &left.files(), &states, &format!("repaired: {what}"));
                }
            }
        }
    }
}

/// The image with entries of its snapshot table that have no extra data, if so wanted.
fn without_extra_data(files: &[(String, Vec<u8>)], wanted: bool) -> Vec<(String, Vec<u8>)> {
    let mut files = files.to_vec();
    let bytes = &mut files[0].1;
    let number = |bytes: &[u8], at: usize, len: usize| {
        bytes[at..at + len].iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte))
    };
    let (count, table) = (number(bytes, 60, 4), number(bytes, 64, 8));
    let (mut at, mut rows) = (table, Vec::new());
    for _ in 0..count {
        let (extra, texts) = (number(bytes, at + 36, 4), number(bytes, at + 12, 2) + number(bytes, at + 14, 2));
        rows.extend_from_slice(&bytes[at..at + 36]);
        rows.extend_from_slice(&[0; 4]);
        rows.extend_from_slice(&bytes[at + 40 + extra..at + 40 + extra + texts]);
        rows.resize(rows.len().next_multiple_of(8), 0);
        at += (40 + extra + texts).next_multiple_of(8);
    }
    if wanted {
        bytes[table..table + rows.len()].copy_from_slice(&rows);
        bytes[table + rows.len()..at].fill(0);
    }
    files
}

#[test]
fn entries_get_what_version_3_asks_for() {
    let secrets = Secrets::new();
    let (recording, states) = with_snapshots(&KINDS[0]);
    amend(&recording.files(), "compat=0.10").unwrap();
    let bare = Recording::new(&without_extra_data(&recording.now(), true));
    let (source, files) = (bare.now(), bare.files());
    let edited = edited(&source, &secrets);
    amend(&files, "compat=1.1,size=40k").unwrap();
    assert_clean(&edited, &files, "larger");
    for (name, state) in [("first", &states[0]), ("second", &states[1])] {
        assert!(read_snapshot(&files, name) == *state, "as large as it was: {name}");
    }
    let told = amend(&files, "compat=0.10").unwrap_err();
    assert_eq!(told.kind(), ErrorKind::Invalid);
    assert!(told.to_string().contains("of another size"), "{told}");
    amend(&files, &format!("compat=0.10,size={SIZE}")).unwrap();
    assert_eq!(amend(&files, "size=40k").unwrap_err().kind(), ErrorKind::Unsupported);
    let resize = Step::Resize(512, Preallocation::Off);
    assert!(edited.edit(&files, &mut |editor| apply(editor, &resize).map(|()| true)).is_err());
    assert_clean(&edited, &files, "version 2");
    assert_states(&edited, &files, &states, "version 2");
}

#[test]
fn qemu_img_sees_the_same_states_in_either_version() {
    if !has_qemu_img() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for kind in KINDS {
        let (recording, states) = with_snapshots(kind);
        for compat in ["0.10", "1.1"] {
            amend(&recording.files(), &format!("compat={compat}")).unwrap();
            let what = format!("{kind:?} {compat}");
            put(folder.path(), &recording.now(), &what);
            assert!(qemu_img(folder.path(), "info -f qcow2 top").unwrap().contains(&format!("compat: {compat}")));
            for (arguments, state) in [("-l first", &states[0]), ("-l second", &states[1]), ("", &states[2])] {
                qemu_img(folder.path(), &format!("convert -f qcow2 -O raw {arguments} top out")).unwrap();
                assert!(std::fs::read(folder.path().join("out")).unwrap() == *state, "{what} {arguments}");
            }
        }
        // And it goes back and forth itself.
        for compat in ["0.10", "1.1"] {
            qemu_img(folder.path(), &format!("amend -f qcow2 -o compat={compat} top")).unwrap();
            put(folder.path(), &[], "amended by qemu-img");
        }
    }
}
