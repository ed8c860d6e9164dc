//! However little memory there is, the same is found and mended.

use std::sync::Arc;

use imgfmt_core::conformance::Noise;
use imgfmt_core::{
    Check, CheckStats, DenyAll, Finding, Findings, Limits, Medium, MemoryMedium, MemoryStorage, OpenContext, Repair,
};
use imgfmt_qcow2::Qcow2;

use crate::image::{COPIED, Image};

#[test]
fn windows_find_and_mend_what_one_look_does() {
    let mut image = Image::written_of("cluster_size=512,refcount_bits=32", 4 << 20);
    let whole = image.content();
    let mut noise = Noise(77);
    let clusters = image.0.len() as u64 / 512;
    for _ in 0..200 {
        image.set_refcount(noise.below(clusters), noise.below(3));
        let (first, second) = (noise.below(8000), noise.below(8000));
        image.change(image.l2_at(first), |entry| entry ^ COPIED);
        let entry = image.u64(image.l2_at(second));
        image.put(image.l2_at(first), entry);
    }
    let content = image.content();
    assert!(content.is_some() && content != whole);
    let (large, small) = (Limits::default().metadata_bytes, 1 << 13);
    assert_eq!(check(&image, large), check(&image, small));
    let (repaired, anew) = (repair(&image, large), repair(&image, small));
    assert!(repaired.0 == anew.0);
    assert_eq!(repaired.check().0.total(), 0);
    assert!(repaired.content() == content);
    image.put(image.u64(48) + 8, 0);
    let (repaired, anew) = (repair(&image, large), repair(&image, small));
    assert!(repaired.0 == anew.0);
    assert_eq!(repaired.check().0.total(), 0);
    assert!(repaired.content() == content);
}

/// What is found with so much memory, in the order of the file.
fn check(image: &Image, metadata_bytes: u64) -> (Vec<Finding>, CheckStats) {
    let mut limits = Limits::default();
    limits.metadata_bytes = metadata_bytes;
    let mut findings = Findings::new();
    let storage = Arc::new(MemoryStorage::new(&image.0[..]));
    let stats = Qcow2.check(storage, &OpenContext::new(&limits, &DenyAll), &mut findings).unwrap();
    let mut found = findings.kept().to_vec();
    found.sort_by_key(|finding| (finding.id, finding.offset));
    assert!(found.len() > 300);
    (found, stats)
}

/// The image, repaired with so much memory.
fn repair(image: &Image, metadata_bytes: u64) -> Image {
    let mut limits = Limits::default();
    limits.metadata_bytes = metadata_bytes;
    let medium = Arc::new(MemoryMedium::new(&image.0));
    let context = OpenContext::new(&limits, &DenyAll);
    Qcow2.repair(Arc::clone(&medium) as Arc<dyn Medium>, Repair::All, &context, &mut Findings::new()).unwrap();
    Image(medium.to_vec())
}
