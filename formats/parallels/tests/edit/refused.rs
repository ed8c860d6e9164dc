//! What is not changed.

use imgfmt_core::conformance::Recording;
use imgfmt_core::{ErrorKind, Preallocation};

use crate::images::{Named, after, edited, files_of, number, places, plain, put};

/// Why `file` is not edited.
fn refused(file: Vec<u8>) -> (ErrorKind, String) {
    let files: Named = vec![("disk".to_owned(), file)];
    let recording = Recording::new(&files);
    let error = edited(&files).edit(&recording.files(), &mut |_| Ok(false)).unwrap_err();
    assert!(recording.now() == files);
    (error.kind(), error.to_string())
}

#[test]
fn an_image_that_is_damaged_or_was_not_closed_is_mended_first() {
    let file = plain(false, 40).build();
    let stored: Vec<_> = (0..5).map(|index| 64 + 4 * index).filter(|at| number(&file, *at) != 0).collect();
    assert!(stored.len() > 1);
    for (at, value, what) in [
        (44, 0x746f_6e59, "was not closed"),
        (48, 99, "data_off leads to"),
        (stored[0], 99, "but the file at byte"),
        (stored[0], number(&file, stored[1]), "where another one is"),
    ] {
        let mut file = file.clone();
        put(&mut file, at, value);
        let (kind, message) = refused(file);
        assert_eq!(kind, ErrorKind::Malformed);
        assert!(message.contains("has to be repaired") && message.contains(what), "{message}");
    }
    let mut cut = file;
    cut.truncate(places(&cut).into_iter().max().unwrap() + 4095);
    assert_eq!(refused(cut).0, ErrorKind::Malformed);
}

#[test]
fn an_image_that_leaks_more_than_is_told_and_was_not_closed_is_mended_first() {
    let mut layout = plain(false, 4);
    layout.tracks = 1;
    let mut file = layout.build();
    file.resize(512 * 20_000, 0);
    put(&mut file, 44, 0x746f_6e59);
    assert_eq!(refused(file).0, ErrorKind::Malformed);
}

#[test]
fn dirty_bitmaps_that_would_not_know_keep_an_image_from_being_changed() {
    let mut file = plain(false, 40).build();
    put(&mut file, 56, 8);
    let (kind, message) = refused(file);
    assert_eq!(kind, ErrorKind::Unsupported);
    assert!(message.contains("ext_off"), "{message}");
}

#[test]
fn sizes_that_there_are_not_are_refused() {
    for is_old in [false, true] {
        let files = files_of(&plain(is_old, 40));
        let left = after(&files, &mut |editor| {
            for (size, preallocation, kind) in [
                (4097, Preallocation::Off, ErrorKind::Invalid),
                (u64::MAX - 511, Preallocation::Off, ErrorKind::Invalid),
                ((1 << 29) * 4096, Preallocation::Off, ErrorKind::Invalid),
                // Entries fill more memory than a table may.
                ((1 << 24) * 4096, Preallocation::Off, ErrorKind::LimitExceeded),
                (512, Preallocation::Full, ErrorKind::Invalid),
            ] {
                assert_eq!(editor.resize(size, preallocation).unwrap_err().kind(), kind, "{size}");
            }
            Ok(true)
        });
        assert!(left == files);
    }
    // The old magic has 32 bits for the sectors of the disk.
    let layout = |is_old| {
        let mut layout = plain(is_old, 40);
        (layout.tracks, layout.sectors) = (1 << 13, 0);
        files_of(&layout)
    };
    for (is_old, is_refused) in [(true, true), (false, false)] {
        after(&layout(is_old), &mut |editor| {
            assert_eq!(editor.resize(512 << 32, Preallocation::Off).is_err(), is_refused);
            Ok(false)
        });
    }
}
