//! Children: what is not stored is the parent's.

use imgfmt_core::conformance::{Files, Step, apply, check_cuts, check_edits};
use imgfmt_core::{Erase, ErrorKind, Preallocation};

use crate::images::{Made, child};

/// Bytes of a grain.
pub(crate) const GRAIN: u64 = 8192;
/// Bytes of the disks.
const SIZE: u64 = 12 * GRAIN + 512;

/// Children that can hide the parent by an entry, and one that cannot.
pub(crate) fn children() -> [Made; 2] {
    ["cid=2,grain_size=8k,zeroed_grain=on", "cid=2,grain_size=8k"].map(|options| child(options, SIZE))
}

#[test]
fn whole_grains_hide_the_parent_and_show_it_again() {
    let steps = [
        Step::Write(GRAIN, 2 * GRAIN, 7),
        Step::Write(GRAIN + 100, 200, 8),
        Step::Erase(4 * GRAIN, GRAIN, Erase::Zero),
        Step::Erase(5 * GRAIN, GRAIN, Erase::ZeroKeepSpace),
        Step::Flush,
        Step::Erase(2 * GRAIN, GRAIN, Erase::Zero),
        Step::Write(12 * GRAIN, 512, 9),
        Step::Write(4 * GRAIN + 5, 7, 3),
    ];
    for image in children() {
        check_edits(&image.edited(), &steps);
        check_cuts(&image.edited(), &steps[2..6], 5);
    }
}

#[test]
fn what_is_left_to_the_parent_is_its_again() {
    for image in children() {
        let edited = image.edited();
        let mut files = Files::default();
        edited.files.iter().for_each(|(name, bytes)| files.add(name, bytes.clone()));
        let before = edited.read(&files).unwrap();
        let mut act = |editor: &dyn imgfmt_core::ImageEditor| {
            editor.write_at(&[7; 3 * 8192], 0)?;
            editor.erase(0..GRAIN, Erase::Absent)?;
            editor.flush()?;
            editor.erase(GRAIN..3 * GRAIN, Erase::Absent)?;
            editor.erase(12 * GRAIN..SIZE, Erase::Absent)?;
            Ok(true)
        };
        edited.edit(&files, &mut act).unwrap();
        assert!(edited.read(&files).unwrap() == before);
        assert_eq!(edited.check(&files, None).unwrap().0.kept(), []);
    }
}

#[test]
fn parts_of_grains_need_what_is_around_them() {
    for image in children() {
        let edited = image.edited();
        let mut files = Files::default();
        edited.files.iter().for_each(|(name, bytes)| files.add(name, bytes.clone()));
        let mut act = |editor: &dyn imgfmt_core::ImageEditor| {
            let kind = |step: &Step| apply(editor, step).unwrap_err().kind();
            assert_eq!(kind(&Step::Write(0, 100, 1)), ErrorKind::Missing);
            assert_eq!(kind(&Step::Write(0, GRAIN + 1, 1)), ErrorKind::Missing);
            assert_eq!(kind(&Step::Erase(5, GRAIN, Erase::Zero)), ErrorKind::Missing);
            assert_eq!(kind(&Step::Erase(5, GRAIN, Erase::Absent)), ErrorKind::Invalid);
            assert_eq!(kind(&Step::Write(SIZE - 1, 2, 1)), ErrorKind::OutOfBounds);
            assert_eq!(kind(&Step::Resize(SIZE + 512, Preallocation::Off)), ErrorKind::Missing);
            Ok(true)
        };
        let before = edited.read(&files).unwrap();
        edited.edit(&files, &mut act).unwrap();
        assert!(edited.read(&files).unwrap() == before, "what fails changes nothing");
    }
}

#[test]
fn a_child_that_grows_is_zero_there_whatever_its_parent_has() {
    for image in children() {
        let steps = [
            Step::Resize(2 * GRAIN, Preallocation::Off),
            Step::Resize(10 * GRAIN, Preallocation::Off),
            Step::Write(9 * GRAIN - 5, 10, 1),
            Step::Resize(14 * GRAIN + 512, Preallocation::Metadata),
        ];
        check_edits(&image.edited(), &steps);
        check_cuts(&image.edited(), &steps, 5);
    }
}
