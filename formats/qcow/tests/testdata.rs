//! Every qcow image of the repository's test data gives the bytes, or the error, that its manifest says.

use imgfmt_core::conformance::{Plain, check_testdata};
use imgfmt_qcow::Qcow;

#[test]
fn every_image_is_what_its_manifest_says() {
    check_testdata(env!("CARGO_MANIFEST_DIR"), "qcow", |sample| sample.read(&[&Qcow, &Plain], Some("qcow")));
}
