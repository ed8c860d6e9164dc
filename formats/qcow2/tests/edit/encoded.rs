//! Units that come compressed are stored as they are, several to a cluster.

use imgfmt_core::conformance::{Edited, Noise, Recording, Step, apply, check_cuts, check_edits};
use imgfmt_core::{BitmapChange, Erase, ErrorKind, Preallocation, Secrets};

use crate::bitmaps::{change, dirty, only};
use crate::images::{KINDS, Kind, edited, files};
use crate::oracle::{has_qemu_img, put, qemu_img};
use crate::snapshots::{assert_clean, snapshots};

/// Guest bytes.
const SIZE: usize = 64 << 10;

/// The bytes of a cluster of that kind.
fn unit_of(kind: &Kind) -> u64 {
    let text = kind.options.split(',').find_map(|option| option.strip_prefix("cluster_size=")).unwrap();
    match text.strip_suffix('k') {
        Some(kib) => kib.parse::<u64>().unwrap() << 10,
        None => text.parse().unwrap(),
    }
}

/// Steps by chance, in whole clusters, of which every other is written compressed.
fn steps(kind: &Kind, seed: u64, count: usize) -> Vec<Step> {
    let (mut random, unit) = (Noise(seed), unit_of(kind));
    let clusters = SIZE as u64 / unit;
    (0..count)
        .map(|_| {
            let at = random.below(clusters) * unit;
            let value = u8::try_from(random.below(255) + 1).unwrap();
            let len = (unit * (random.below(3) + 1)).min(SIZE as u64 - at);
            match random.below(8) {
                0..=4 => Step::Encoded(at, unit, value),
                5 => Step::Write(at, len, value),
                6 => Step::Erase(at, len, Erase::Zero),
                _ => Step::Flush,
            }
        })
        .collect()
}

/// The bytes of the image of `kind` after `steps`.
fn after(edited: &Edited<'_>, steps: &[Step]) -> Vec<(String, Vec<u8>)> {
    check_edits(edited, steps)
}

#[test]
fn compressed_units_read_as_what_they_are() {
    for kind in KINDS {
        let (files, secrets) = (files(kind, SIZE), Secrets::new());
        let edited = edited(&files, &secrets);
        for seed in 1..3 {
            after(&edited, &steps(kind, seed, 16));
        }
        // One behind the other, twice, and then other bytes in a part of them.
        let unit = unit_of(kind);
        let all = |value| (0..(SIZE as u64 / unit).min(12)).map(move |index| Step::Encoded(index * unit, unit, value));
        let mut steps: Vec<_> = all(7).chain([Step::Flush]).chain(all(9)).collect();
        if !kind.backed {
            steps.push(Step::Write(unit / 2 + 3, unit / 2 - 3, 3));
        }
        after(&edited, &steps);
    }
}

#[test]
fn units_share_clusters_as_far_as_refcounts_allow() {
    for (options, most) in
        [("cluster_size=4k", 4), ("cluster_size=4k,refcount_bits=1", 70), ("cluster_size=4k,compression_type=zstd", 4)]
    {
        let (files, secrets) = (files(&Kind { options, compress: false, backed: false }, 0), Secrets::new());
        let edited = edited(&files, &secrets);
        let before = files[0].1.len();
        let mut steps = vec![Step::Resize(256 << 10, Preallocation::Off)];
        steps.extend((0..64).map(|index| Step::Encoded(index * 4096, 4096, 1)));
        let len = after(&edited, &steps)[0].1.len();
        assert!(len - before <= most * 4096, "{options}: {} bytes more", len - before);
    }
}

#[test]
fn the_last_unit_goes_on_where_the_disk_does() {
    let (files, secrets) = (files(&KINDS[2], 2560), Secrets::new());
    let steps = [
        Step::Encoded(2048, 1024, 7),
        Step::Resize(3 << 10, Preallocation::Off),
        Step::Write(2600, 10, 9),
        Step::Resize(2100, Preallocation::Off),
        Step::Resize(4 << 10, Preallocation::Off),
    ];
    check_edits(&edited(&files, &secrets), &steps);
}

#[test]
fn what_is_no_unit_is_refused() {
    let (source, secrets) = (files(&KINDS[2], 10 << 10), Secrets::new());
    let recording = Recording::new(&source);
    let mut tried = 0;
    let edit = edited(&source, &secrets).edit(&recording.files(), &mut |editor| {
        for (stored, offset, kind) in [
            (&[0_u8; 10][..], 512, ErrorKind::Invalid),
            (&[], 0, ErrorKind::Invalid),
            (&[0; 1024], 0, ErrorKind::Invalid),
            (&[0; 10], 10 << 10, ErrorKind::OutOfBounds),
        ] {
            assert_eq!(editor.write_encoded(stored, offset).unwrap_err().kind(), kind, "{offset}");
            tried += 1;
        }
        Ok(true)
    });
    edit.unwrap();
    assert!(tried == 4 && recording.now() == source);
}

#[test]
fn compressed_units_may_be_cut_anywhere() {
    for (index, kind) in KINDS.iter().enumerate().filter(|(_, kind)| !kind.options.contains("64k")) {
        let (files, secrets) = (files(kind, SIZE), Secrets::new());
        check_cuts(&edited(&files, &secrets), &steps(kind, 40 + index as u64, 5), 3);
    }
}

#[test]
fn compressed_units_are_recorded_and_leave_snapshots_alone() {
    let (source, secrets) = (files(&KINDS[2], SIZE), Secrets::new());
    let edited = edited(&source, &secrets);
    let recording = Recording::new(&source);
    let files = recording.files();
    let before = edited.read(&files).unwrap();
    snapshots(&files, "create", "one").unwrap();
    change(&files, "b", &[BitmapChange::Add { granularity: Some(512) }]).unwrap();
    edited.edit(&files, &mut |editor| apply(editor, &Step::Encoded(2048, 1024, 1)).map(|()| true)).unwrap();
    assert_eq!(dirty(&files, "b").0, only(2048..3072));
    assert_clean(&edited, &files, "written");
    snapshots(&files, "apply", "one").unwrap();
    snapshots(&files, "delete", "one").unwrap();
    assert_clean(&edited, &files, "taken back");
    assert!(edited.read(&files).unwrap() == before);
}

#[test]
fn qemu_img_reads_compressed_units() {
    if !has_qemu_img() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let zstd = Kind { options: "cluster_size=64k,compression_type=zstd", compress: true, backed: false };
    for kind in KINDS.iter().chain([&zstd]) {
        let (source, secrets) = (files(kind, SIZE), Secrets::new());
        let edited = edited(&source, &secrets);
        let files = after(&edited, &steps(kind, 77, 16));
        put(folder.path(), &files, &format!("{kind:?}"));
        let recording = Recording::new(&files);
        std::fs::write(folder.path().join("model"), edited.read(&recording.files()).unwrap()).unwrap();
        let compared = qemu_img(folder.path(), "compare -f qcow2 -F raw top model");
        assert!(compared.is_ok(), "{kind:?}: {compared:?}");
    }
}
