//! Images are edited as byte vectors are, and what a cut leaves of them can be mended.

use imgfmt_core::conformance::{Recording, check_cuts, check_edits, check_faults, random_steps};
use imgfmt_core::{Erase, ErrorKind, Repair};
use proptest::prelude::{any, proptest};

use crate::config;
use crate::images::{after, edited, faults, files_of, layouts, number, places, plain, put};

proptest! {
    #![proptest_config(config(96))]

    #[test]
    fn any_layout_is_edited_as_a_byte_vector_is(layout in layouts(), seed in any::<u64>()) {
        let files = files_of(&layout);
        let steps = random_steps(&edited(&files), seed, 12, layout.sectors as u64 * 512, 1);
        let edited = check_edits(&edited(&files), &steps);
        let (before, file) = (&files[0].1, &edited[0].1);
        if file == before {
            return Ok(());
        }
        // As QEMU looks for room: each cluster lies so many whole ones behind `data_off`, and the file ends behind the last one.
        let start = number(file, 48) * 512;
        let counted = if layout.is_old && start == 0 { (64 + 4 * number(file, 32)).next_multiple_of(512) } else { start };
        let places = places(file);
        assert!(places.iter().all(|place| *place >= counted && (place - counted).is_multiple_of(layout.tracks * 512)));
        let end = places.iter().max().map_or(counted, |last| last + layout.tracks * 512);
        assert_eq!((file.len(), number(file, 44)), (end, 0));
        assert_eq!(file[40..44], before[40..44]);
    }
}

proptest! {
    #![proptest_config(config(24))]

    #[test]
    fn what_a_cut_leaves_can_be_mended(layout in layouts(), seed in any::<u64>()) {
        let files = files_of(&layout);
        let edited = edited(&files);
        let steps = random_steps(&edited, seed, 7, layout.sectors as u64 * 512, 512);
        check_cuts(&edited, &steps, seed);
    }
}

proptest! {
    #![proptest_config(config(24))]

    #[test]
    fn a_medium_that_fails_loses_nothing(layout in layouts(), seed in any::<u64>()) {
        let files = files_of(&layout);
        let edited = edited(&files);
        check_faults(&edited, &random_steps(&edited, seed, 5, layout.sectors as u64 * 512, 512));
    }
}

#[test]
fn an_image_is_in_use_from_its_first_change_on_until_it_is_closed() {
    for is_old in [false, true] {
        let mut files = files_of(&plain(is_old, 40));
        // Programs that know the format extension say so.
        put(&mut files[0].1, 44, 0x312e_3276);
        assert!(after(&files, &mut |_| Ok(true)) == files, "it was not changed");
        let left = after(&files, &mut |editor| {
            editor.write_at(&[1], 5)?;
            editor.flush()?;
            Ok(false)
        });
        assert_eq!((number(&left[0].1, 44), faults(&left)), (0x746f_6e59, vec!["parallels-in-use"]));
        let recording = Recording::new(&left);
        edited(&left).check(&recording.files(), Some(Repair::All)).unwrap();
        assert_eq!((number(&recording.now()[0].1, 44), faults(&recording.now()).len()), (0, 0));
        let closed = after(&files, &mut |editor| editor.write_at(&[1], 5).map(|()| true));
        assert!(closed == recording.now());
    }
}

#[test]
fn a_disk_that_was_said_to_be_empty_is_not_when_it_is_written() {
    let mut files = files_of(&plain(false, 40));
    let start = number(&files[0].1, 48) * 512;
    files[0].1[64..104].fill(0);
    files[0].1.truncate(start);
    put(&mut files[0].1, 52, 5);
    let written = after(&files, &mut |editor| editor.write_at(&[1], 5).map(|()| true));
    assert_eq!(number(&written[0].1, 52), 4);
}

#[test]
fn places_and_lengths_that_there_are_not_are_refused() {
    let files = files_of(&plain(false, 40));
    let left = after(&files, &mut |editor| {
        let kind = |result: imgfmt_core::Result<()>| result.unwrap_err().kind();
        assert_eq!(kind(editor.write_at(&[9; 2], 40 * 512 - 1)), ErrorKind::OutOfBounds);
        assert_eq!(kind(editor.erase(0..40 * 512 + 1, Erase::Zero)), ErrorKind::OutOfBounds);
        assert_eq!(kind(editor.erase(512..8192, Erase::Absent)), ErrorKind::Invalid);
        assert_eq!(kind(editor.write_encoded(&[0], 0)), ErrorKind::Unsupported);
        Ok(true)
    });
    assert!(left == files);
}
