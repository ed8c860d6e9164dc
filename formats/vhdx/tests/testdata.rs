//! Every vhdx image of the repository's test data gives the bytes, or the error, that its manifest says.

use imgfmt_core::conformance::check_testdata;
use imgfmt_vhdx::Vhdx;

#[test]
fn every_image_is_what_its_manifest_says() {
    check_testdata(env!("CARGO_MANIFEST_DIR"), "vhdx", |sample| sample.read(&[&Vhdx], Some("vhdx")));
}
