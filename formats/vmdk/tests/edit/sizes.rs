//! Other sizes: of disks of several extents, and with space taken for them.

use imgfmt_core::conformance::{Edited, Recording, Step, apply, check_cuts, check_edits};
use imgfmt_core::{Erase, ErrorKind, ImageEditor, Preallocation};

use crate::KINDS;
use crate::build::Layout;
use crate::images::{Made, made};

/// A disk of two extents of 75 sectors, sparse or flat.
pub(crate) fn two(kind: &str) -> Made {
    let text = format!(
        "# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID=ffffffff\ncreateType=\"custom\"\n\
         # Extent description\nRW 75 {kind} \"a\"\nRW 75 {kind} \"b\"\n"
    );
    let layout = Layout { redundant: true, ..Layout::default() };
    let extent = || if kind == "SPARSE" { layout.build() } else { vec![3; 75 * 512] };
    let files = [("disk.vmdk", text.into_bytes()), ("a", extent()), ("b", extent())];
    Made::of(files.map(|(name, bytes)| (name.to_owned(), bytes)).to_vec())
}

#[test]
fn the_last_of_several_extents_grows_and_shrinks() {
    for kind in ["SPARSE", "FLAT"] {
        let image = two(kind);
        let size = 150 * 512;
        let steps = [
            Step::Write(74 * 512, 1024, 1),
            Step::Resize(size + 99 * 512, Preallocation::Off),
            Step::Write(size - 10, 5000, 2),
            Step::Erase(70 * 512, 40_000, Erase::Zero),
            Step::Flush,
            Step::Resize(size - 30 * 512, Preallocation::Off),
            Step::Resize(size + 3 * 512, Preallocation::Off),
        ];
        check_edits(&image.edited(), &steps);
        check_cuts(&image.edited(), &steps, 9);
        let files = Recording::new(&image.files).files();
        let gone = Step::Resize(75 * 512, Preallocation::Off);
        let mut act = |editor: &dyn ImageEditor| {
            assert_eq!(apply(editor, &gone).unwrap_err().kind(), ErrorKind::Unsupported, "{kind}");
            Ok(true)
        };
        image.edited().edit(&files, &mut act).unwrap();
    }
}

#[test]
fn space_is_taken_where_that_is_asked_for() {
    let size = 203 * 512;
    for options in KINDS {
        for preallocation in [Preallocation::Metadata, Preallocation::Falloc, Preallocation::Full] {
            let image = made(options, size);
            let edited = Edited { size_unit: 512, ..image.edited() };
            let before: usize = image.files.iter().map(|(_, bytes)| bytes.len()).sum();
            let files = check_edits(&edited, &[Step::Resize(size + 65_536, preallocation)]);
            let after: usize = files.iter().map(|(_, bytes)| bytes.len()).sum();
            assert!(after >= before + 65_536 - 8192, "{options} {preallocation:?}: {before} became {after}");
        }
    }
    for options in [KINDS[1], KINDS[3]] {
        let image = made(options, size);
        check_cuts(&image.edited(), &[Step::Resize(size + 65_536, Preallocation::Full)], 2);
    }
}
