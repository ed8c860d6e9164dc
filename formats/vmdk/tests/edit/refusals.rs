//! What is not edited, and why.

use imgfmt_core::conformance::Step;
use imgfmt_core::conformance::{Files, apply};
use imgfmt_core::{ErrorKind, Preallocation};

use crate::images::{Made, made};

/// The kind of error with which editing of an image fails.
fn refused(image: &Made) -> ErrorKind {
    let edited = image.edited();
    let mut files = Files::default();
    edited.files.iter().for_each(|(name, bytes)| files.add(name, bytes.clone()));
    let error = edited.edit(&files, &mut |_| Ok(true)).unwrap_err();
    for (name, before) in &image.files {
        let medium = files.medium(name.as_ref()).unwrap();
        let mut bytes = vec![0; before.len()];
        medium.read_at(&mut bytes, 0).unwrap();
        assert!(bytes == *before && medium.len() == before.len() as u64, "{name} was changed");
    }
    error.kind()
}

/// A file of the test data, as `disk.vmdk`, with the files that it names.
fn stored(name: &str, others: &[&str]) -> Made {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/vmdk/valid");
    let read = |from: &str, to: &str| (to.to_owned(), std::fs::read(folder.join(from)).unwrap());
    Made::of(std::iter::once(read(name, "disk.vmdk")).chain(others.iter().map(|name| read(name, name))).collect())
}

#[test]
fn what_cannot_be_changed_in_place_is_refused() {
    let cases = [
        made("subformat=streamOptimized", 1 << 20),
        stored("stream-gd-front.vmdk", &[]),
        stored("sparse-v3.vmdk", &[]),
        stored("esx-000001.vmdk", &["esx-000001-delta.vmdk"]),
        stored("esx-000003.vmdk", &["esx-000003-sesparse.vmdk"]),
        stored("flat-readonly.vmdk", &["flat-longer-file.vmdk", "one-flat.vmdk", "two-flat.vmdk"]),
        stored("flat-zero-between.vmdk", &["one-flat.vmdk", "two-flat.vmdk"]),
    ];
    for image in cases {
        assert_eq!(refused(&image), ErrorKind::Unsupported, "{:?}", image.files[0].1.get(..300));
    }
}

#[test]
fn what_has_to_be_repaired_first_is_refused() {
    assert_eq!(refused(&stored("sparse-unclean.vmdk", &[])), ErrorKind::Malformed);
    assert_eq!(refused(&stored("sparse-gd-zeroed.vmdk", &[])), ErrorKind::Malformed);
    let mut image = made("grain_size=8k", 203 * 512);
    let bytes = &mut image.files[0].1;
    let gd = u64::from_le_bytes(bytes[56..64].try_into().unwrap());
    let gd = usize::try_from(gd).unwrap() * 512;
    let table = usize::from(bytes[gd]) * 512;
    // Grain 4 is where grain 0 is: what is written to one would be written to both.
    bytes.copy_within(table..table + 4, table + 16);
    assert_eq!(refused(&image), ErrorKind::Malformed);
}

#[test]
fn sizes_that_the_format_does_not_have_are_refused() {
    for (options, size, kind) in [
        ("grain_size=8k", 0, ErrorKind::Invalid),
        ("grain_size=8k", 1000, ErrorKind::Invalid),
        ("subformat=monolithicFlat", 700, ErrorKind::Invalid),
        ("grain_size=8k", u64::MAX / 512 * 512, ErrorKind::LimitExceeded),
        ("grain_size=8k", 1 << 60, ErrorKind::LimitExceeded),
    ] {
        let image = made(options, 203 * 512);
        let edited = image.edited();
        let mut files = Files::default();
        edited.files.iter().for_each(|(name, bytes)| files.add(name, bytes.clone()));
        let before = edited.read(&files).unwrap();
        let resize = Step::Resize(size, Preallocation::Off);
        let act = |editor: &dyn imgfmt_core::ImageEditor| {
            assert_eq!(apply(editor, &resize).unwrap_err().kind(), kind, "{options} {size}");
            editor.write_at(&before[..10], 0)?;
            Ok(true)
        };
        edited.edit(&files, &mut { act }).unwrap();
        assert!(edited.read(&files).unwrap() == before);
    }
}
