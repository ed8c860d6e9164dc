//! Every vdi image of the repository's test data gives the bytes, or the error, that its manifest says.

use imgfmt_core::conformance::check_testdata;
use imgfmt_vdi::Vdi;

#[test]
fn every_image_is_what_its_manifest_says() {
    check_testdata(env!("CARGO_MANIFEST_DIR"), "vdi", |sample| sample.read(&[&Vdi], Some("vdi")));
}
