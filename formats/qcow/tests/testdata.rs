//! Every qcow image of the repository's test data gives the bytes, or the error, that its manifest says.

#[path = "support/raw.rs"]
mod raw;

use imgfmt_core::conformance::check_testdata;
use imgfmt_qcow::Qcow;
use raw::Raw;

#[test]
fn every_image_is_what_its_manifest_says() {
    check_testdata(env!("CARGO_MANIFEST_DIR"), "qcow", |sample| sample.read(&[&Qcow, &Raw], Some("qcow")));
}
