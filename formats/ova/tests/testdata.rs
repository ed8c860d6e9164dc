//! Every appliance and archive of the repository's test data gives the bytes, or the error, that its manifest says.

use imgfmt_core::conformance::check_testdata;
use imgfmt_ova::{Ova, Tar};

#[test]
fn every_file_is_what_its_manifest_says() {
    check_testdata(env!("CARGO_MANIFEST_DIR"), "ova", |sample| sample.unwrap(&[&Ova, &Tar]));
}
