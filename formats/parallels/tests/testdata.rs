//! Every Parallels image of the repository's test data gives the bytes, or the error, that its manifest says.

use imgfmt_core::conformance::check_testdata;
use imgfmt_parallels::Parallels;

#[test]
fn every_image_is_what_its_manifest_says() {
    check_testdata(env!("CARGO_MANIFEST_DIR"), "parallels", |sample| sample.read(&[&Parallels], Some("parallels")));
}
