//! Any steps leave what a byte vector would hold, and a whole image.

use imgfmt_core::conformance::{Recording, Step, check_edits, random_steps};
use imgfmt_core::{Erase, ErrorKind, Preallocation, Secrets};
use proptest::prelude::{any, proptest};

use crate::images::{KINDS, edited, files};

/// Guest bytes at first.
const SIZE: usize = 200 * 512 + 512;

proptest! {
    #![proptest_config(imgfmt_core::property_config!(24))]

    #[test]
    fn any_edits_read_as_a_byte_vector_would(seed in any::<u64>(), kind in 0..KINDS.len(), any_place in any::<bool>()) {
        let kind = &KINDS[kind];
        // What is left to the parent is filled in whole clusters only, by callers; so the disk ends with one, and goes on with one.
        let size = if kind.backed { SIZE.next_multiple_of(64 << 10) } else { SIZE };
        let (files, secrets) = (files(kind, size), Secrets::new());
        let mut edited = edited(&files, &secrets);
        edited.size_unit = if kind.backed { 64 << 10 } else { 512 };
        let unit = if kind.backed { 64 << 10 } else if any_place { 1 } else { 512 };
        check_edits(&edited, &random_steps(&edited, seed, 14, size as u64, unit));
    }
}

#[test]
fn a_disk_that_was_larger_shows_nothing_of_it_later() {
    for kind in KINDS.iter().filter(|kind| !kind.backed) {
        let (files, secrets) = (files(kind, SIZE), Secrets::new());
        let steps = [
            Step::Resize(100 * 512 + 1, Preallocation::Off),
            Step::Resize(300 * 512, Preallocation::Off),
            Step::Write(250 * 512, 512, 7),
            Step::Resize(0, Preallocation::Off),
            Step::Resize(4 << 20, Preallocation::Off),
            Step::Erase(0, 4 << 20, Erase::Absent),
        ];
        check_edits(&edited(&files, &secrets), &steps);
    }
}

#[test]
fn new_space_can_be_taken_at_once() {
    for kind in KINDS.iter().filter(|kind| !kind.backed) {
        for preallocation in [Preallocation::Metadata, Preallocation::Falloc, Preallocation::Full] {
            let (files, secrets) = (files(kind, SIZE), Secrets::new());
            let steps = [Step::Resize(SIZE as u64 + (128 << 10), preallocation), Step::Write(SIZE as u64 + 7, 100, 3)];
            check_edits(&edited(&files, &secrets), &steps);
        }
    }
}

#[test]
fn a_disk_goes_on_behind_a_last_cluster_of_the_parent() {
    for kind in KINDS.iter().filter(|kind| kind.backed) {
        let (mut files, secrets) = (files(kind, SIZE), Secrets::new());
        files[1].1.resize(SIZE + (8 << 20), 7);
        let edited = edited(&files, &secrets);
        for (told, refused) in
            [(None, true), (Some(u64::MAX), true), (Some(SIZE as u64 + 1), true), (Some(SIZE as u64), false)]
        {
            let recording = Recording::new(&files);
            let edit = edited.edit(&recording.files(), &mut |editor| {
                if let Some(size) = told {
                    editor.set_parent_size(size);
                }
                editor.resize(1 << 20, Preallocation::Off).map(|()| true)
            });
            assert_eq!(
                edit.map_err(|error| error.kind()),
                if refused { Err(ErrorKind::Missing) } else { Ok(()) },
                "{kind:?}"
            );
            assert_eq!(recording.now() == files, refused, "{kind:?}");
        }
        // What a parent has behind the end of the disk does not show, up to where it ends and no further.
        let recording = Recording::new(&files);
        let step = edited.edit(&recording.files(), &mut |editor| {
            editor.set_parent_size(SIZE as u64 + (1 << 20));
            let unit = editor.image()?.describe().cluster_size.unwrap();
            let start = SIZE as u64 - SIZE as u64 % unit;
            editor.write_at(&vec![9; SIZE - usize::try_from(start).unwrap()], start)?;
            editor.resize(8 << 20, Preallocation::Off).map(|()| true)
        });
        step.unwrap();
        let read = edited.read(&recording.files()).unwrap();
        let hidden = read[SIZE..].iter().position(|byte| *byte != 0).unwrap_or(read.len());
        assert!((1 << 20..=(1 << 20) + (64 << 10)).contains(&hidden), "{kind:?}: {hidden}");
    }
}
