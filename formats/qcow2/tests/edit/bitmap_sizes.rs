//! Bitmaps follow their disk: to another size, and to what a snapshot held.

use std::ops::Range;

use imgfmt_core::conformance::{Edited, Files, Noise, Recording, Step, apply};
use imgfmt_core::{BitmapChange, Erase, ErrorKind, Preallocation, Repair, Secrets};

use crate::bitmaps::{change, dirty, only};
use crate::images::{KINDS, Kind, disk, edited, files};
use crate::oracle::{has_qemu_img, put, qemu_img};
use crate::snapshots::{assert_clean, read_snapshot, snapshots};

/// Guest bytes at first. The bits of a bitmap with the finest granularity take one cluster.
const SIZE: usize = 100 * 512;

/// The kind of image.
const KIND: &Kind = &KINDS[0];

/// Sizes, one after the other: with more clusters of bits, with fewer, with an end within a granule, larger again.
const SIZES: [u64; 7] = [5 << 20, 3 << 20, SIZE as u64, 40 * 512, 39 * 512, 41 * 512, 6 << 20];

/// Does `steps` with the image in `files`.
fn edit(edited: &Edited<'_>, files: &Files, steps: &[Step]) {
    edited
        .edit(files, &mut |editor| {
            steps.iter().try_for_each(|step| apply(editor, step))?;
            Ok(true)
        })
        .unwrap();
}

/// An image with bitmaps: `rec` records, `off` does not, `coarse` records 8 granules as one, `full` has all its bits.
fn with_bitmaps(source: &[(String, Vec<u8>)]) -> Recording {
    let secrets = Secrets::new();
    let edited = edited(source, &secrets);
    let recording = Recording::new(source);
    let files = recording.files();
    change(&files, "full", &[BitmapChange::Add { granularity: Some(512) }]).unwrap();
    edit(&edited, &files, &[Step::Erase(0, SIZE as u64, Erase::Zero)]);
    change(&files, "full", &[BitmapChange::Disable]).unwrap();
    for (name, granularity) in [("rec", 512), ("off", 512), ("coarse", 4096)] {
        change(&files, name, &[BitmapChange::Add { granularity: Some(granularity) }]).unwrap();
    }
    edit(&edited, &files, &[Step::Write(0, 512, 7), Step::Write(38 * 512, 1024, 8), Step::Write(90 * 512, 512, 9)]);
    change(&files, "off", &[BitmapChange::Disable]).unwrap();
    Recording::new(&recording.now())
}

/// What is dirty in each bitmap; all can be relied on.
fn all_dirty(files: &Files) -> Vec<Vec<Range<u64>>> {
    let bits = |name| {
        let (ranges, records, reliable) = dirty(files, name);
        assert!(reliable && records == (name == "rec" || name == "coarse"), "{name}");
        ranges
    };
    ["full", "rec", "off", "coarse"].map(bits).to_vec()
}

/// Granules of `granularity` bytes, as the bits of a disk that was cut and grows again keep them.
fn resized(ranges: &[Range<u64>], granularity: u64, from: u64, to: u64) -> Vec<Range<u64>> {
    let end = from.min(to).next_multiple_of(granularity);
    let last = |range: &Range<u64>| if range.end >= from { end } else { range.end.min(end) }.min(to);
    let kept = ranges.iter().map(|range| range.start..last(range));
    kept.filter(|range| !range.is_empty()).collect()
}

#[test]
fn bits_stay_and_what_comes_to_the_disk_is_clear() {
    for in_one_go in [false, true] {
        let (source, secrets) = (files(KIND, SIZE), Secrets::new());
        let edited = edited(&source, &secrets);
        let recording = with_bitmaps(&source);
        let files = recording.files();
        let (mut model, mut size) = (all_dirty(&files), SIZE as u64);
        let steps: Vec<_> = SIZES.iter().map(|size| Step::Resize(*size, Preallocation::Off)).collect();
        if in_one_go {
            edit(&edited, &files, &steps);
        }
        for (step, to) in steps.iter().zip(SIZES) {
            for (ranges, granularity) in model.iter_mut().zip([512, 512, 512, 4096]) {
                *ranges = resized(ranges, granularity, size, to);
            }
            size = to;
            if !in_one_go {
                edit(&edited, &files, std::slice::from_ref(step));
                assert_eq!(all_dirty(&files), model, "{step:?}");
                assert_clean(&edited, &files, &format!("{step:?}"));
            }
        }
        assert_eq!(all_dirty(&files), model, "in the end");
        assert_clean(&edited, &files, "in the end");
        // They go on.
        edit(&edited, &files, &[Step::Write(5 << 20, 512, 1), Step::Resize((5 << 20) + 512, Preallocation::Off)]);
        assert_eq!(dirty(&files, "rec").0.last(), Some(&(5 << 20..(5 << 20) + 512)));
    }
}

#[test]
fn what_was_recorded_behind_the_new_end_is_forgotten() {
    let (source, secrets) = (files(KIND, SIZE), Secrets::new());
    let edited = edited(&source, &secrets);
    let recording = with_bitmaps(&source);
    let files = recording.files();
    let sizes = [Step::Resize(40 * 512, Preallocation::Off), Step::Resize(SIZE as u64, Preallocation::Full)];
    edit(&edited, &files, &[&[Step::Write(20 * 512, 50 * 512, 1)], &sizes[..]].concat());
    assert_eq!(dirty(&files, "rec").0, [0..512, 20 * 512..40 * 512]);
    assert_eq!(dirty(&files, "off").0, [0..512, 38 * 512..40 * 512]);
}

#[test]
fn a_bitmap_that_was_in_use_keeps_its_disk_as_large_as_it_is() {
    for records in [true, false] {
        let (source, secrets) = (files(KIND, SIZE), Secrets::new());
        let edited = edited(&source, &secrets);
        let recording = with_bitmaps(&source);
        edited.edit(&recording.files(), &mut |editor| apply(editor, &Step::Write(0, 1, 1)).map(|()| false)).unwrap();
        let mut left = recording.now();
        if !records {
            // The flags of `rec` become those of a bitmap that does not record.
            let name = left[0].1.windows(3).rposition(|bytes| bytes == b"rec").unwrap();
            left[0].1[name - 24 + 15] &= !2;
        }
        let (files, before) = (Recording::new(&left), left);
        for to in [SIZE as u64 * 2, 512] {
            let step = Step::Resize(to, Preallocation::Off);
            let refused = edited.edit(&files.files(), &mut |editor| {
                let refused = apply(editor, &step).unwrap_err();
                assert_eq!(refused.kind(), ErrorKind::Invalid);
                assert!(refused.to_string().contains("the bitmap rec was in use"), "{refused}");
                Ok(true)
            });
            refused.unwrap();
        }
        assert!(files.now() == before, "nothing was changed");
        change(&files.files(), "rec", &[BitmapChange::Remove]).unwrap();
        change(&files.files(), "coarse", &[BitmapChange::Remove]).unwrap();
        edit(&edited, &files.files(), &[Step::Resize(512, Preallocation::Off)]);
        assert_eq!(dirty(&files.files(), "off").0, only(0..512));
    }
}

#[test]
fn sizes_with_bitmaps_may_be_cut_anywhere() {
    let (source, secrets) = (files(KIND, SIZE), Secrets::new());
    let edited = edited(&source, &secrets);
    for to in [5 << 20, 40 * 512] {
        let before = with_bitmaps(&source).now();
        let recording = Recording::new(&before);
        edit(&edited, &recording.files(), &[Step::Resize(to, Preallocation::Off)]);
        let old = dirty(&Recording::new(&before).files(), "off").0;
        let states = [(SIZE as u64, old.clone()), (to, resized(&old, 512, SIZE as u64, to))];
        let mut random = Noise(3);
        for cut in 0..=recording.len() {
            for way in 0..4 {
                let mut keep = || if way < 2 { way == 1 } else { random.below(2) == 1 };
                let left = Recording::new(&recording.cut(cut, &mut keep));
                let what = format!("{to}, cut after {cut} of {}, way {way}", recording.len());
                let files = left.files();
                let size = edited.read(&files).unwrap_or_else(|e| panic!("{e}: {what}")).len() as u64;
                let state = states.iter().find(|state| state.0 == size).unwrap();
                for repaired in [false, true] {
                    assert_eq!(dirty(&files, "off"), (state.1.clone(), false, true), "{what}, {repaired}");
                    let (ranges, _, reliable) = dirty(&files, "rec");
                    assert!(!reliable || ranges == state.1, "{what}: {ranges:?}");
                    edited.check(&files, Some(Repair::All)).unwrap_or_else(|e| panic!("{e}: {what}"));
                    assert_clean(&edited, &files, &what);
                }
            }
        }
    }
}

#[test]
fn what_a_snapshot_changes_is_recorded_and_no_more() {
    for kind in
        KINDS.iter().filter(|kind| !kind.backed && !kind.options.contains("0.10") && !kind.options.ends_with("bits=1"))
    {
        let (source, secrets) = (files(kind, SIZE), Secrets::new());
        let edited = edited(&source, &secrets);
        let recording = Recording::new(&source);
        let files = recording.files();
        let mut unit = 0;
        edited
            .edit(&files, &mut |editor| {
                unit = editor.image()?.describe().cluster_size.unwrap();
                Ok(true)
            })
            .unwrap();
        let unit = unit.min(SIZE as u64);
        snapshots(&files, "create", "one").unwrap();
        edit(&edited, &files, &[Step::Write(unit / 2, 10, 3)]);
        for (name, changes) in [("rec", &[][..]), ("off", &[BitmapChange::Disable])] {
            change(&files, name, &[&[BitmapChange::Add { granularity: Some(512) }], changes].concat()).unwrap();
        }
        snapshots(&files, "apply", "one").unwrap();
        assert!(edited.read(&files).unwrap() == disk(SIZE), "{kind:?}");
        assert_eq!(dirty(&files, "rec"), (only(0..unit), true, true), "{kind:?}");
        assert_eq!(dirty(&files, "off"), (vec![], false, true), "{kind:?}");
        assert_clean(&edited, &files, &format!("{kind:?}"));
        // A disk of another size, and one that was smaller, whose end comes back.
        edit(&edited, &files, &[Step::Resize(3 << 20, Preallocation::Off)]);
        change(&files, "rec", &[BitmapChange::Clear]).unwrap();
        snapshots(&files, "apply", "one").unwrap();
        assert!(dirty(&files, "rec").2 && dirty(&files, "off") == (vec![], false, true), "{kind:?}");
        assert!(edited.read(&files).unwrap() == disk(SIZE), "{kind:?}");
        edit(&edited, &files, &[Step::Resize(unit, Preallocation::Off)]);
        change(&files, "rec", &[BitmapChange::Clear]).unwrap();
        snapshots(&files, "apply", "one").unwrap();
        let back = if unit < SIZE as u64 { only(unit..SIZE as u64) } else { vec![] };
        assert_eq!(dirty(&files, "rec"), (back, true, true), "{kind:?}");
        assert_clean(&edited, &files, &format!("{kind:?}"));
    }
}

#[test]
fn snapshots_keep_what_a_smaller_disk_loses() {
    for kind in KINDS.iter().filter(|kind| !kind.options.contains("0.10") && !kind.options.ends_with("bits=1")) {
        let (source, secrets) = (files(kind, SIZE), Secrets::new());
        let edited = edited(&source, &secrets);
        let recording = Recording::new(&source);
        let files = recording.files();
        snapshots(&files, "create", "one").unwrap();
        for to in [if kind.backed { 16 << 10 } else { 512 }, 2 << 20] {
            edit(&edited, &files, &[Step::Resize(to, Preallocation::Off)]);
            assert_clean(&edited, &files, &format!("{kind:?} {to}"));
            assert!(read_snapshot(&files, "one") == disk(SIZE), "{kind:?} {to}");
        }
        snapshots(&files, "apply", "one").unwrap();
        snapshots(&files, "delete", "one").unwrap();
        assert_clean(&edited, &files, &format!("{kind:?}"));
        assert!(edited.read(&files).unwrap() == disk(SIZE), "{kind:?}");
    }
}

#[test]
fn qemu_img_gives_bitmaps_the_same_bits() {
    if !has_qemu_img() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (source, secrets) = (files(KIND, SIZE), Secrets::new());
    let edited = edited(&source, &secrets);
    let ours = with_bitmaps(&source);
    put(folder.path(), &ours.now(), "at first");
    for to in SIZES {
        edit(&edited, &ours.files(), &[Step::Resize(to, Preallocation::Off)]);
        qemu_img(folder.path(), &format!("resize -f qcow2 --shrink top {to}")).unwrap();
        let theirs = std::fs::read(folder.path().join("top")).unwrap();
        let theirs = Recording::new(&[("top".to_owned(), theirs)]);
        assert_eq!(all_dirty(&ours.files()), all_dirty(&theirs.files()), "{to}");
        // And it takes ours for what they are.
        let other = tempfile::tempdir().unwrap();
        put(other.path(), &ours.now(), &format!("{to}"));
        let info = qemu_img(other.path(), "info -f qcow2 top").unwrap();
        assert!(info.contains("name: off") && !info.contains("in-use"), "{info}");
        for name in ["rec", "coarse", "off"] {
            qemu_img(other.path(), "bitmap --add -g 512 -f qcow2 top sum").unwrap();
            qemu_img(other.path(), &format!("bitmap --merge {name} -f qcow2 top sum")).unwrap();
            let merged = Recording::new(&[("top".to_owned(), std::fs::read(other.path().join("top")).unwrap())]);
            assert_eq!(dirty(&merged.files(), "sum").0, dirty(&ours.files(), name).0, "{to} {name}");
            qemu_img(other.path(), "bitmap --remove -f qcow2 top sum").unwrap();
        }
    }
}
