//! Children: what is not stored is the parent's, and zeros are zeros.

use imgfmt_core::conformance::{Disk, Fill, check_image, read_all};
use imgfmt_core::{Backing, ErrorKind, Identity, ParentName};

use crate::folder::{Folder, How};

/// A parent called `base.vmdk`.
fn backing(format: Option<&str>, cid: Option<&str>) -> Backing {
    Backing {
        name: ParentName { name: "base.vmdk".into(), format: format.map(str::to_owned) },
        identities: cid.map(|cid| Identity { kind: "CID", value: cid.to_owned() }).into_iter().collect(),
        size: SIZE as u64,
        ..Backing::default()
    }
}

#[test]
fn a_child_hides_its_parent_where_it_has_zeros() {
    let folder = Folder::new();
    let base = Disk::new("base", SIZE, &[(0..SIZE, Fill::Noise)]);
    folder.write("base.vmdk", &base.image(), "cid=0badcafe").unwrap();
    let child = Disk::new("child", SIZE, &[(70_000..140_000, Fill::Text), (900_000..1_000_000, Fill::Zeros)]);
    for options in [
        "",
        "zeroed_grain=on",
        "subformat=streamOptimized",
        "subformat=streamOptimized,zeroed_grain=on",
        "subformat=twoGbMaxExtentSparse,zeroed_grain=on",
    ] {
        let backing = backing(Some("vmdk"), Some("0badcafe"));
        let how = How { options, backing: Some(&backing), threads: 3, ..How::default() };
        folder.write_as("child.vmdk", &child.image(), &how).unwrap();
        check_image(&folder.open("child.vmdk").unwrap(), Some(&child.bytes), options);
    }
}

#[test]
fn what_is_absent_is_left_to_the_parent() {
    let folder = Folder::new();
    let base = Disk::new("base", SIZE, &[(0..SIZE, Fill::Noise)]);
    folder.write("base.vmdk", &base.image(), "cid=1").unwrap();
    let backing = backing(None, Some("00000001"));
    let how = How { backing: Some(&backing), absent_from: Some(0), ..How::default() };
    // All of the disk is left to the backing file.
    folder.write_as("child.vmdk", &base.image(), &how).unwrap();
    assert!(read_all(&folder.open("child.vmdk").unwrap()) == base.bytes);
    assert!(std::fs::metadata(folder.path("child.vmdk")).unwrap().len() <= 65_536);
}

#[test]
fn a_parent_is_a_vmdk_that_can_be_known_again() {
    let refused = |backing: &Backing, options: &str| {
        let how = How { options, backing: Some(backing), ..How::default() };
        let image = Disk::new("any", SIZE, &[]).image();
        let error = Folder::new().write_as("x.vmdk", &image, &how).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    };
    refused(&backing(Some("raw"), Some("1")), "");
    refused(&backing(Some("vmdk"), None), "");
    refused(&backing(Some("vmdk"), Some("ffffffff")), "");
    refused(&backing(Some("vmdk"), Some("1")), "subformat=monolithicFlat");
    let named = |name: &str| ParentName { name: name.into(), format: None };
    refused(&Backing { name: named("a\"b"), ..backing(None, Some("1")) }, "");
}

/// Guest bytes of all layers.
const SIZE: usize = 3 << 20;
