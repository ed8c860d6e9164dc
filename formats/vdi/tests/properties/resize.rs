//! Disks become larger and smaller, wherever the map has no room.

use imgfmt_core::conformance::{Recording, Step, check_cuts, check_edits, check_faults};
use imgfmt_core::{Erase, ErrorKind, Preallocation};
use proptest::prelude::{any, proptest};

use crate::build::Layout;
use crate::config;
use crate::edited::{edited, files_of, number, unit};

/// An image of whole blocks of 512 bytes, whose map has little room.
fn layout(kind: u32, sectors: usize, seed: u64) -> Layout {
    let size = sectors * 512;
    Layout { size, block_bits: 9, extra: 0, kind, seed, aligned: true, gaps: false, cut_last: false }
}

proptest! {
    #![proptest_config(config(8))]

    #[test]
    fn a_map_that_moves_is_cut_nowhere(kind in proptest::sample::select(vec![1, 2, 4]), sectors in 0..12_usize, more in 450..500_u64, seed in any::<u64>()) {
        let layout = layout(kind, sectors, seed);
        let files = files_of(&layout, 40);
        let steps = [
            Step::Write(0, (sectors as u64 * 512).min(1024), 3),
            Step::Resize(more * 512, Preallocation::Off),
            Step::Write(more * 512 - 1024, 1024, 4),
            Step::Erase(512, 2048, Erase::Zero),
        ];
        let edited = edited(&files, unit(&layout, 512));
        let after = check_edits(&edited, &steps);
        let (file, map) = (&files[0].1, number(&files[0].1, 340));
        let has_room = (number(file, 344) - map) as u64 >= 4 * more;
        assert_eq!(number(&after[0].1, 340) == map, has_room);
        check_cuts(&edited, &steps, seed);
        check_faults(&edited, &steps);
    }
}

#[test]
fn what_comes_to_a_disk_is_preallocated_on_demand() {
    for kind in [1, 2, 4] {
        let files = files_of(&layout(kind, 9, 5), 0);
        for (preallocation, all) in [
            (Preallocation::Off, kind == 2),
            (Preallocation::Metadata, true),
            (Preallocation::Falloc, true),
            (Preallocation::Full, true),
        ] {
            let steps = [Step::Erase(0, 9 * 512, Erase::Zero), Step::Resize(40 * 512, preallocation)];
            let after = check_edits(&edited(&files, 512), &steps);
            check_faults(&edited(&files, 512), &steps);
            let kept = if kind == 2 { 9 } else { 0 };
            assert_eq!(number(&after[0].1, 388), kept + if all { 31 } else { 0 }, "{kind} {preallocation:?}");
        }
    }
}

#[test]
fn a_disk_shrinks_and_grows_again_without_what_it_had() {
    let files = files_of(&Layout { block_bits: 12, cut_last: true, ..layout(1, 43, 9) }, 0);
    let steps = [
        Step::Write(0, 43 * 512, 9),
        Step::Resize(20 * 512, Preallocation::Off),
        Step::Resize(90 * 512, Preallocation::Off),
        Step::Resize(0, Preallocation::Off),
        Step::Resize(90 * 512, Preallocation::Off),
    ];
    check_edits(&edited(&files, 512), &steps);
}

#[test]
fn no_geometry_holds_for_another_size() {
    let mut files = files_of(&layout(1, 9, 5), 0);
    files[0].1[348..360].fill(7);
    let after = check_edits(&edited(&files, 512), &[Step::Resize(10 * 512, Preallocation::Off)]);
    assert_eq!((after[0].1[348..360].to_vec(), number(&after[0].1, 360)), (vec![0; 12], 512));
}

#[test]
fn sizes_that_there_are_not_are_refused() {
    let files = files_of(&layout(1, 9, 5), 0);
    let recording = Recording::new(&files);
    edited(&files, 512)
        .edit(&recording.files(), &mut |editor| {
            for size in [4097, 0x1fff_ff80 * 512 + 512, u64::MAX] {
                let error = editor.resize(size, Preallocation::Off).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Invalid, "{size}");
            }
            let error = editor.resize(512, Preallocation::Full).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid);
            Ok(false)
        })
        .unwrap();
    assert!(recording.now() == files);
}

#[test]
fn a_last_block_that_is_the_parents_keeps_the_disk_from_growing() {
    let mut files = files_of(&Layout { block_bits: 12, ..layout(4, 9, 5) }, 40);
    let map = number(&files[0].1, 340);
    // Both blocks are the parent's, and the second is not all of the disk's.
    files[0].1[map..map + 8].fill(0xff);
    files[0].1[388..392].fill(0);
    let recording = Recording::new(&files);
    edited(&files, 512)
        .edit(&recording.files(), &mut |editor| {
            let error = editor.resize(40 * 512, Preallocation::Off).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported);
            editor.write_at(&[1; 512], 8 * 512)?;
            editor.resize(40 * 512, Preallocation::Off)?;
            Ok(true)
        })
        .unwrap();
    let read = edited(&files, 512).read(&recording.files()).unwrap();
    assert!(read[9 * 512..].iter().all(|byte| *byte == 0));
}
