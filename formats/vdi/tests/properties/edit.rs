//! Images are edited as byte vectors are, and what a cut leaves of them can be mended.

use imgfmt_core::conformance::{Recording, Step, check_cuts, check_edits, check_faults, random_steps};
use imgfmt_core::{Erase, ErrorKind, Preallocation};
use proptest::prelude::{any, proptest};

use crate::build::Layout;
use crate::config;
use crate::edited::{check, edited, faults, files_of, layouts, number, put, unit};

/// An image of whole sectors in blocks of 4 KiB.
fn layout(kind: u32, sectors: usize) -> Layout {
    let size = sectors * 512;
    Layout { size, block_bits: 12, extra: 0, kind, seed: 7, aligned: true, gaps: false, cut_last: false }
}

proptest! {
    #![proptest_config(config(64))]

    #[test]
    fn any_layout_is_edited_as_a_byte_vector_is(layout in layouts(), base in 0..70_usize, seed in any::<u64>()) {
        let files = files_of(&layout, base);
        let edited = edited(&files, unit(&layout, 512));
        let steps = random_steps(&edited, seed, 12, layout.size as u64, unit(&layout, 1));
        let after = check_edits(&edited, &steps);
        // As others count blocks, too: there is no gap, and no more than that.
        let file = &after[0].1;
        let entries = (0..number(file, 384)).map(|index| number(file, number(file, 340) + 4 * index));
        let mut stored: Vec<_> = entries.filter(|entry| *entry < 0xffff_fffe).collect();
        stored.sort_unstable();
        assert_eq!(stored, (0..number(file, 388)).collect::<Vec<_>>());
    }
}

proptest! {
    #![proptest_config(config(12))]

    #[test]
    fn what_a_cut_leaves_can_be_mended(layout in layouts(), base in 0..70_usize, seed in any::<u64>()) {
        let files = files_of(&layout, base);
        let edited = edited(&files, unit(&layout, 512));
        let steps = random_steps(&edited, seed, 7, layout.size as u64, unit(&layout, 512));
        check_cuts(&edited, &steps, seed);
    }
}

proptest! {
    #![proptest_config(config(16))]

    #[test]
    fn a_medium_that_fails_loses_nothing(layout in layouts(), base in 0..70_usize, seed in any::<u64>()) {
        let files = files_of(&layout, base);
        let edited = edited(&files, unit(&layout, 512));
        check_faults(&edited, &random_steps(&edited, seed, 5, layout.size as u64, unit(&layout, 512)));
    }
}

#[test]
fn a_block_that_is_absent_is_the_parents() {
    let files = files_of(&layout(4, 40), 40);
    let recording = Recording::new(&files);
    let held = recording.files();
    let below = held.open(&imgfmt_vdi::Vdi, "base").unwrap();
    let mut parents = vec![0; 4096];
    imgfmt_core::Image::read_at(&below, &mut parents, 0).unwrap();
    edited(&files, 4096)
        .edit(&held, &mut |editor| {
            editor.write_at(&[9; 4096], 0)?;
            let error = editor.erase(0..512, Erase::Absent).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid);
            editor.erase(0..4096, Erase::Absent)?;
            for write in [0..100_usize, 512..4096, 0..4095] {
                let error = editor.write_at(&vec![9; write.len()], write.start as u64).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Missing, "{write:?}");
            }
            assert_eq!(editor.erase(0..512, Erase::Zero).unwrap_err().kind(), ErrorKind::Missing);
            assert_eq!(editor.write_at(&[9; 2], 40 * 512 - 1).unwrap_err().kind(), ErrorKind::OutOfBounds);
            Ok(true)
        })
        .unwrap();
    assert!(edited(&files, 4096).read(&held).unwrap()[..4096] == parents);
}

#[test]
fn zeros_hide_the_parent_and_take_no_space() {
    let files = files_of(&layout(4, 40), 80);
    let recording = Recording::new(&files);
    edited(&files, 4096)
        .edit(&recording.files(), &mut |editor| {
            editor.erase(0..40 * 512, Erase::Zero)?;
            editor.resize(80 * 512, Preallocation::Off)?;
            Ok(true)
        })
        .unwrap();
    assert!(edited(&files, 4096).read(&recording.files()).unwrap() == vec![0; 80 * 512]);
    let file = &recording.now()[0].1;
    assert_eq!((number(file, 388), file.len()), (0, number(file, 344)));
}

#[test]
fn space_that_is_freed_is_used_again_and_given_back() {
    let files = files_of(&layout(1, 160), 0);
    let recording = Recording::new(&files);
    let len = || recording.now()[0].1.len();
    edited(&files, 512)
        .edit(&recording.files(), &mut |editor| {
            editor.write_at(&vec![1; 160 * 512], 0)?;
            editor.flush()?;
            let full = len();
            for index in 0..20 {
                editor.erase(index * 4096..(index + 1) * 4096, Erase::Zero)?;
                editor.flush()?;
                editor.write_at(&[2; 4096], index * 4096)?;
            }
            assert_eq!(len(), full, "space that was freed is not used again");
            editor.erase(4096..160 * 512, Erase::Zero)?;
            Ok(true)
        })
        .unwrap();
    let file = &recording.now()[0].1;
    assert_eq!(file.len(), number(file, 344) + 4096);
    assert!(faults(&check(&recording.now())).is_empty());
}

#[test]
fn a_fixed_image_keeps_every_block() {
    let files = files_of(&layout(2, 160), 0);
    let steps = [
        Step::Erase(0, 160 * 512, Erase::Zero),
        Step::Resize(200 * 512, Preallocation::Off),
        Step::Erase(4096, 4096, Erase::ZeroKeepSpace),
        Step::Erase(8192, 4096, Erase::Absent),
    ];
    let after = check_edits(&edited(&files, 512), &steps);
    assert_eq!((number(&after[0].1, 384), number(&after[0].1, 388)), (25, 25));
}

#[test]
fn the_image_gets_another_modification_uuid_when_it_changes_and_not_before() {
    let files = files_of(&layout(1, 40), 0);
    let after = |act: &dyn Fn(&dyn imgfmt_core::ImageEditor) -> imgfmt_core::Result<()>| {
        let recording = Recording::new(&files);
        edited(&files, 512).edit(&recording.files(), &mut |editor| act(editor).map(|()| true)).unwrap();
        recording.now().remove(0).1
    };
    assert!(after(&|_| Ok(())) == files[0].1);
    let written = after(&|editor| editor.write_at(&[1], 5));
    assert!(written[408..424] != files[0].1[408..424] && written[392..408] == files[0].1[392..408]);
}

#[test]
fn an_image_that_is_damaged_or_does_not_lie_at_sectors_is_not_edited() {
    let refused = |file: Vec<u8>| {
        let files = vec![("disk".to_owned(), file)];
        edited(&files, 512).edit(&Recording::new(&files).files(), &mut |_| Ok(false)).unwrap_err().kind()
    };
    let (file, _) = layout(2, 40).build(&[]);
    let damaged = |at: usize, value: u32| {
        let mut file = file.clone();
        put(&mut file, at, value);
        refused(file)
    };
    let map = number(&file, 340);
    assert_eq!(damaged(388, 1), ErrorKind::Malformed);
    assert_eq!(damaged(map, 90), ErrorKind::Malformed);
    assert_eq!(damaged(map, u32::try_from(number(&file, map + 4)).unwrap()), ErrorKind::Malformed);
    for seed in 0..20 {
        let layout = Layout { aligned: false, seed, ..layout(1, 40) };
        let (file, _) = layout.build(&[]);
        let in_sectors = number(&file, 340).is_multiple_of(4) && number(&file, 344).is_multiple_of(512);
        assert!(in_sectors || refused(file) == ErrorKind::Unsupported);
    }
}
