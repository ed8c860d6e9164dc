//! What is said of disks of several files, and extents that may not be read.

use std::sync::Arc;

use imgfmt_core::conformance::Files;
use imgfmt_core::{DenyAll, ErrorKind, ExtentKind, Format, Image, ImageExt, Limits, MemoryStorage, OpenContext};
use imgfmt_vmdk::Vmdk;
use serde_json::json;

/// A disk with an extent in its middle that may not be read.
const TEXT: &str = "# Disk DescriptorFile\nversion=1\nCID=0000000a\nparentCID=ffffffff\ncreateType=\"custom\"\n\
    RW 2 FLAT \"a.bin\" 0\nNOACCESS 3 FLAT \"secret.bin\" 0\nRDONLY 1 ZERO\nddb.uuid.image=\"AB-1\"\n";

#[test]
fn an_extent_that_may_not_be_read_keeps_its_place() {
    let mut files = Files::default();
    files.add("disk.vmdk", TEXT.as_bytes().to_vec());
    files.add("a.bin", vec![5; 1024]);
    let image = files.open(&Vmdk, "disk.vmdk").unwrap();
    assert_eq!(image.size(), 6 * 512);
    let mut extents = vec![];
    image.extents(0..6 * 512, 9, &mut extents).unwrap();
    let kinds: Vec<_> = extents.iter().map(|extent| (extent.start, extent.len, extent.kind)).collect();
    assert_eq!(kinds[1], (1024, 1536, ExtentKind::Opaque));
    assert_eq!(kinds[2], (2560, 512, ExtentKind::Zero { explicit: true }));
    let mut bytes = [0; 1024];
    image.read_at(&mut bytes, 0).unwrap();
    assert_eq!(bytes, [5; 1024]);
    let error = image.read_at(&mut bytes, 1023).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("extent 2, from guest byte 1024 on, is NOACCESS"), "{error}");
    image.read_at(&mut bytes[..512], 2560).unwrap();
    assert_eq!(bytes[..512], [0; 512]);
}

#[test]
fn a_disk_is_described_without_its_files() {
    let limits = Limits::default();
    let context = OpenContext { describe_only: true, ..OpenContext::new(&limits, &DenyAll) };
    let opened = Vmdk.open(Arc::new(MemoryStorage::new(TEXT.as_bytes())), &context).unwrap();
    let said = opened.image.describe();
    assert_eq!(said.subformat.as_deref(), Some("custom"));
    let expected = json!({"filename": "a.bin", "format": "FLAT", "virtual-size": 1024});
    assert_eq!(said.specific["extents"][0], expected);
    let identities: Vec<_> = said.identities.iter().map(|known| (known.kind, known.value.as_str())).collect();
    assert_eq!(identities, [("CID", "0000000a"), ("ddb.uuid.image", "ab-1")]);
    assert_eq!(opened.image.read_at(&mut [0; 512], 0).unwrap_err().kind(), ErrorKind::Unsupported);
    // Zeros are nobody's file.
    assert!(opened.image.read_at(&mut [0; 512], 2560).is_ok());
}

#[test]
fn extents_of_esx_say_what_they_are() {
    let delta =
        super::Delta { kind: super::Kind::Cowd { grain: 1 }, grains: vec![super::Grain::Data; 9], odd: 0, seed: 3 };
    let mut files = Files::default();
    files.add("delta.bin", delta.build());
    files.add("delta.vmdk", delta.descriptor("delta.bin", None));
    let said = files.open(&Vmdk, "delta.vmdk").unwrap().describe();
    assert_eq!((said.subformat.as_deref(), said.cluster_size), (Some("vmfsSparse"), Some(512)));
    assert_eq!(said.details["sparse-extents"][0]["kind"], "vmfsSparse");
    assert_eq!(said.specific["extents"][0]["format"], "VMFSSPARSE");
}
