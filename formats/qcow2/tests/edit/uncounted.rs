//! Snapshots of images whose tables lead where nothing is counted: refused, and the file is as it was.

use std::path::Path;

use byteorder::{BigEndian, ByteOrder};
use imgfmt_core::conformance::{Files, Recording};
use imgfmt_core::{Error, ErrorKind};

use crate::images::{KINDS, files};
use crate::snapshots::snapshots;

/// Guest bytes of the disk.
const SIZE: usize = 200 * 512;
/// The flag of entries whose cluster is used once.
const COPIED: u64 = 1 << 63;

/// A number at a byte of the image.
fn number(image: &[u8], at: usize) -> usize {
    usize::try_from(BigEndian::read_u64(&image[at..]) & !COPIED).unwrap()
}

/// Changes the snapshots of a damaged image, which is refused.
fn refused(image: &[u8], act: &str) {
    let source = vec![("top".to_owned(), image.to_vec())];
    let recording = Recording::new(&source);
    let files: Files = recording.files();
    let told: Error = snapshots(&files, act, "first").unwrap_err();
    assert_eq!(told.kind(), ErrorKind::Malformed, "{act}: {told}");
    let medium = files.medium(Path::new("top")).unwrap();
    let mut after = vec![0; image.len()];
    medium.read_at(&mut after, 0).unwrap();
    assert!(after == image, "{act}");
}

/// A sound image, with a snapshot where that is wanted.
fn sound(with_snapshot: bool) -> Vec<u8> {
    let source = files(&KINDS[0], SIZE);
    let recording = Recording::new(&source);
    let files = recording.files();
    if with_snapshot {
        snapshots(&files, "create", "first").unwrap();
    }
    let medium = files.medium(Path::new("top")).unwrap();
    let mut bytes = vec![0; usize::try_from(medium.len()).unwrap()];
    medium.read_at(&mut bytes, 0).unwrap();
    bytes
}

#[test]
fn a_cluster_far_outside_of_the_file_is_not_counted_up_to() {
    for host in [1 << 55, 1 << 40, 1 << 30] {
        let mut image = sound(false);
        let l2 = number(&image, number(&image, 40));
        BigEndian::write_u64(&mut image[l2..], host | COPIED);
        refused(&image, "create");
    }
}

#[test]
fn a_cluster_whose_refcount_is_0_gets_no_second_user() {
    let mut image = sound(false);
    let l1 = number(&image, 40);
    let block = number(&image, number(&image, 48));
    let cluster = number(&image, number(&image, l1)) / 512;
    image[block + cluster * 2..][..2].fill(0);
    refused(&image, "create");
}

#[test]
fn a_snapshot_whose_table_is_no_cluster_is_left_alone() {
    for wrong in [0, 8, 1 << 40] {
        let mut image = sound(true);
        let row = number(&image, 64);
        let host = if wrong == 8 { number(&image, row) as u64 + 8 } else { wrong };
        BigEndian::write_u64(&mut image[row..], host);
        refused(&image, "apply");
        refused(&image, "delete");
    }
}
