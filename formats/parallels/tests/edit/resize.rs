//! Disks become larger and smaller, wherever the BAT has no room.

use imgfmt_core::conformance::{Step, check_cuts, check_edits, check_faults};
use imgfmt_core::{CreateRequest, Erase, Format, MemoryTarget, Options, Preallocation};
use imgfmt_parallels::Parallels;
use proptest::prelude::{any, proptest};
use std::sync::Arc;

use crate::config;
use crate::images::{Layout, after, edited, files_of, number, places, plain, put};

/// An image of clusters of a few sectors, whose BAT has little room.
fn layout(is_old: bool, tracks: usize, sectors: usize, seed: u64) -> Layout {
    Layout { tracks, seed, ..plain(is_old, sectors) }
}

proptest! {
    #![proptest_config(config(6))]

    #[test]
    fn a_bat_that_needs_room_is_cut_nowhere(is_old in any::<bool>(), tracks in 1..4_usize, room in 0..3_usize, sectors in 0..12_usize, more in 600..700_u64, seed in any::<u64>()) {
        let files = files_of(&Layout { room, ..layout(is_old, tracks, sectors, seed) });
        let steps = [
            Step::Write(0, (sectors as u64 * 512).min(1024), 3),
            Step::Resize(more * 512, Preallocation::Off),
            Step::Write(more * 512 - 1024, 1024, 4),
            Step::Erase(512, 2048, Erase::Zero),
            Step::Resize(512, Preallocation::Off),
        ];
        let after = check_edits(&edited(&files), &steps[..4]);
        let (before, file) = (&files[0].1, &after[0].1);
        let start = number(file, 48) * 512;
        assert!(start >= 64 + 4 * number(file, 32), "the BAT has no room");
        assert!(places(file).iter().all(|place| *place >= start));
        let was = if number(before, 48) == 0 { 512 } else { number(before, 48) * 512 };
        assert!(start.is_multiple_of(512) && (start - was).is_multiple_of(tracks * 512));
        check_cuts(&edited(&files), &steps, seed);
        check_faults(&edited(&files), &steps);
    }
}

#[test]
fn what_comes_to_a_disk_is_preallocated_on_demand() {
    for is_old in [false, true] {
        for (preallocation, count) in [
            (Preallocation::Off, 0),
            (Preallocation::Metadata, 31),
            (Preallocation::Falloc, 31),
            (Preallocation::Full, 31),
        ] {
            let files = files_of(&layout(is_old, 1, 9, 5));
            let steps = [Step::Erase(0, 9 * 512, Erase::Zero), Step::Resize(40 * 512, preallocation)];
            let after = check_edits(&edited(&files), &steps);
            check_faults(&edited(&files), &steps);
            assert_eq!(places(&after[0].1).len(), count, "{preallocation:?}");
        }
    }
}

#[test]
fn a_disk_shrinks_and_grows_again_without_what_it_had() {
    for is_old in [false, true] {
        for cut_last in [false, true] {
            let files = files_of(&Layout { cut_last, more_entries: 2, ..layout(is_old, 8, 43, 9) });
            let steps = [
                Step::Write(0, 43 * 512, 9),
                Step::Resize(20 * 512, Preallocation::Off),
                Step::Resize(90 * 512, Preallocation::Off),
                Step::Write(0, 90 * 512, 8),
                Step::Resize(0, Preallocation::Off),
                Step::Resize(90 * 512, Preallocation::Off),
            ];
            let after = check_edits(&edited(&files), &steps);
            assert_eq!(places(&after[0].1), [0; 0]);
            check_cuts(&edited(&files), &steps, 3);
        }
    }
}

#[test]
fn a_disk_that_shrinks_has_its_clusters_where_it_had_them() {
    let files = files_of(&layout(true, 3, 450, 5));
    // The BAT ends in the second sector, and the header leaves it at that.
    assert_eq!((number(&files[0].1, 32), number(&files[0].1, 48)), (150, 0));
    let steps = [
        Step::Resize(15 * 512, Preallocation::Off),
        Step::Erase(0, 15 * 512, Erase::Zero),
        Step::Flush,
        Step::Write(0, 15 * 512, 5),
    ];
    let after = check_edits(&edited(&files), &steps);
    assert_eq!(number(&after[0].1, 48), 2);
    assert_eq!(places(&after[0].1), [0, 1, 2, 3, 4].map(|index| 1024 + index * 1536));
}

#[test]
fn entries_that_are_of_no_cluster_of_the_disk_do_not_show_when_it_grows() {
    for is_old in [false, true] {
        let mut layout = layout(is_old, 2, 8, 3);
        layout.more_entries = 30;
        let files = files_of(&layout);
        assert!((4..34).any(|index| number(&files[0].1, 64 + 4 * index) != 0));
        let steps = [Step::Resize(60 * 512, Preallocation::Off)];
        check_edits(&edited(&files), &steps);
        check_cuts(&edited(&files), &steps, 5);
    }
}

#[test]
fn a_disk_of_another_size_has_the_header_of_a_new_one() {
    let new = |size| {
        let (target, options) = (Arc::new(MemoryTarget::new()), Options::parse("cluster_size=4k").unwrap());
        Parallels.create(target.clone(), &CreateRequest::new(size, &options)).unwrap().finish().unwrap();
        vec![("disk".to_owned(), target.to_vec())]
    };
    let mut files = new(8 << 20);
    // Other programs have other geometries.
    put(&mut files[0].1, 20, 255);
    put(&mut files[0].1, 24, 7);
    let same = after(&files, &mut |editor| editor.write_at(&[1], 0).map(|()| true));
    assert_eq!((number(&same[0].1, 20), number(&same[0].1, 24)), (255, 7));
    for size in [16 << 20, 1 << 20] {
        let resized = after(&files, &mut |editor| editor.resize(size, Preallocation::Off).map(|()| true));
        let wanted = new(size);
        assert!(resized[0].1[..48] == wanted[0].1[..48], "{size}");
        assert!(size < 8 << 20 || resized == wanted, "{size}");
    }
}
