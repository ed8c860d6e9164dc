//! A layer can be given another parent.

use std::path::Path;

use imgfmt_core::conformance::Recording;
use imgfmt_core::{Format, Limits, OpenContext};
use imgfmt_vhd::Vhd;

use crate::images::{alone, backing, edited, layers};

#[test]
fn another_parent_is_known_and_shows() {
    let mut files = layers("block_size=512k");
    let size = edited(&files, 512).read(&Recording::new(&files).files()).unwrap().len() as u64;
    let other = alone("block_size=512k", size, &[(0..size, 0x99)]).remove(0).1;
    let parent = backing("a longer name of a parent.vhd", &other);
    files.push(("a longer name of a parent.vhd".to_owned(), other));
    let recording = Recording::new(&files);
    let gate = recording.files();
    let limits = Limits::default();
    let context = OpenContext { path: Some(Path::new("top.vhd")), ..OpenContext::new(&limits, &gate) };
    let medium = gate.medium(Path::new("top.vhd")).unwrap();
    Vhd.abilities().reparent.unwrap().set_parent(medium, Some(&parent), &context).unwrap();
    let read = edited(&files, 512).read(&gate).unwrap();
    assert_eq!(read[read.len() - 1], 0x99);
    let (findings, _) = edited(&files, 512).check(&gate, None).unwrap();
    assert_eq!(findings.total(), 0, "{:?}", findings.kept());
}
