//! What is said of an image beyond its bytes.

mod common;

use std::path::Path;
use std::sync::Arc;

use common::{hash, open};
use imgfmt_core::{Description, FileStorage, Head, Image, MemoryStorage, Storage};
use imgfmt_qcow2::Qcow2;
use serde_json::json;

/// The description of a valid image of `testdata/`, which is also read.
fn describe(name: &str) -> Description {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/qcow2/valid").join(name);
    let storage = Arc::new(FileStorage::open(&path).expect("it is there"));
    let image = open(storage, &path, Some(&path)).expect("it opens");
    hash(&image).expect("it can be read");
    image.describe()
}

#[test]
fn dirty_and_corrupt_images_read_and_say_so() {
    assert!(describe("dirty.qcow2").dirty);
    assert_eq!(describe("dirty.qcow2").features, ["dirty bit", "lazy refcounts"]);
    assert_eq!(describe("corrupt.qcow2").specific["corrupt"], json!(true));
    assert!(!describe("v3.qcow2").dirty);
}

#[test]
fn what_is_unknown_is_kept() {
    let unknown = describe("extension-unknown.qcow2");
    assert_eq!(unknown.details["unknown-header-extensions"].as_array().map(Vec::len), Some(1));
    let features = describe("autoclear-unknown.qcow2").features;
    assert!(features.iter().all(|name| name.starts_with("autoclear bit ")) && !features.is_empty(), "{features:?}");
}

#[test]
fn an_image_is_described_without_its_data_file() {
    use imgfmt_core::{ByteCounts, DenyAll, ErrorKind, Format, Limits, OpenContext};
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/qcow2/valid/data-file-raw.qcow2");
    let storage: Arc<dyn Storage> = Arc::new(FileStorage::open(&path).unwrap());
    let limits = Limits::default();
    let context = OpenContext { path: Some(&path), ..OpenContext::new(&limits, &DenyAll) };
    assert_eq!(Qcow2.open(Arc::clone(&storage), &context).err().unwrap().kind(), ErrorKind::Refused);
    let opened = Qcow2.open(storage, &OpenContext { describe_only: true, ..context }).unwrap();
    let said = opened.image.describe();
    assert_eq!((&said.specific["data-file"], &said.specific["data-file-raw"]), (&json!("data-file.bin"), &json!(true)));
    assert_eq!(said.features, ["external data file", "raw external data"]);
    assert_eq!(ByteCounts::of(opened.image.as_ref()).unwrap().opaque, opened.image.size());
    assert_eq!(opened.image.read_at(&mut [0], 0).unwrap_err().kind(), ErrorKind::Unsupported);
}

#[test]
fn subclusters_have_their_size() {
    let said = describe("extended-l2.qcow2");
    assert_eq!((&said.specific["extended-l2"], &said.details["subcluster-size"]), (&json!(true), &json!(512)));
}

#[test]
fn the_parent_is_named_as_the_image_names_it() {
    let parent = describe("backing-raw.qcow2").parent.expect("it has one");
    assert_eq!(parent.format.as_deref(), Some("raw"));
    assert!(describe("backing-format-absent.qcow2").parent.is_some_and(|parent| parent.format.is_none()));
}

#[test]
fn the_magic_claims_a_file_of_any_version_but_1() {
    use imgfmt_core::Format;
    let reason = |bytes: &[u8]| {
        let storage = MemoryStorage::new(bytes);
        let storage: &dyn Storage = &storage;
        Qcow2.probe(&Head::read(storage).expect("memory can be read")).expect("a probe fails on nothing but reads")
    };
    assert_eq!(reason(b"QFI\xfb\0\0\0\x03"), Some("qcow2 magic"));
    assert_eq!(reason(b"QFI\xfb\0\0\0\x01"), None);
    assert_eq!(reason(b"QFI\xfb\0\0\0\x04"), Some("qcow2 magic"));
    assert_eq!(reason(b"QFI\xfb"), Some("qcow2 magic"));
    assert_eq!(reason(b"QFI"), None);
}
