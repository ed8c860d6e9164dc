//! Every disc of the repository's test data is claimed, and gives the bytes, or the error, that its manifest says.

use imgfmt_core::conformance::check_testdata;
use imgfmt_iso::Iso;

#[test]
fn every_disc_is_what_its_manifest_says() {
    check_testdata(env!("CARGO_MANIFEST_DIR"), "iso", |sample| sample.read(&[&Iso], None));
}
